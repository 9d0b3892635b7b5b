// Reads the text form of a graph. Every op application is checked by its declaration, and the type that the text states
// must be the type that the op infers. Every Diagnostic says the line and column that it is about.

import { GraphBuilder } from './builder.ts'
import { Diagnostic, fail } from './diagnostic.ts'
import { type AttrValue, type Graph, isWeight, type Scalar, type ValueId } from './graph.ts'
import { findOp, type OpDefinition } from './op.ts'
import './ops/index.ts'
import { quantFormats } from './quant.ts'
import { shown } from './shown.ts'
import { type Dim, isDtype, isSymbol, printType, sameType, scalarTypes, type TensorType, typeFault } from './type.ts'
import { Value } from './value.ts'

interface Token {
  readonly kind: 'id' | 'word' | 'number' | 'string' | 'punctuation' | 'comment' | 'end'
  readonly text: string
  /** characters before it */
  readonly at: number
}

const patterns = [
  ['space', /\s+/y],
  ['comment', /\/\/[^\n]*/y],
  ['id', /[%@][\w.-]+/y],
  ['number', /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y],
  ['string', /"(?:[^"\\\n]|\\.)*"/y],
  ['word', /[A-Za-z_][\w.-]*/y],
  ['punctuation', /[(){}[\]:,=]/y],
] as const

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    const start = at
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = start
      const found = pattern.exec(text)
      if (!found) continue
      if (kind !== 'space') tokens.push({ kind, text: found[0], at })
      at = pattern.lastIndex
      break
    }
    if (at === start) syntaxError(text, at, `unexpected character ${JSON.stringify(text[at])}`)
  }
  return [...tokens, { kind: 'end', text: 'the end of the text', at }]
}

function place(text: string, at: number): [string, string][] {
  const before = text.slice(0, at).split('\n')
  return [
    ['at', `line ${before.length}, column ${before.at(-1)!.length + 1}`],
    ['line', (text.split('\n')[before.length - 1] ?? '').trim()],
  ]
}

function syntaxError(text: string, at: number, message: string, help?: string): never {
  return fail({ code: 'graph-syntax', message, facts: place(text, at), ...(help ? { help } : {}) })
}

/** The graph that `text` describes, in the form that `printGraph` writes. */
export function parseGraph(text: string): Graph {
  if (typeof text !== 'string')
    fail({ code: 'bad-argument', message: `parseGraph takes the text of a graph, not ${shown(text)}` })
  return new Parser(text).graph()
}

class Parser {
  readonly #text: string
  readonly #tokens: Token[]
  #next = 0
  #builder = new GraphBuilder()
  readonly #known = new Set<ValueId>()

  constructor(text: string) {
    this.#text = text
    this.#tokens = tokenize(text)
  }

  graph(): Graph {
    this.#skipComments()
    if (this.#peek().text !== 'graph') this.#fault('a graph begins with `graph @name(`')
    this.#next++
    const name = this.#id('@', 'a name such as @main')
    this.#builder = this.#located(name, () => new GraphBuilder(name.text.slice(1)))
    this.#need('(')
    this.#list(')', () => this.#input())
    this.#need('{')
    for (this.#skipComments(); this.#peek().text !== 'return'; this.#skipComments()) {
      if (isWeight(this.#peek().text)) this.#weight()
      else this.#node()
    }
    this.#returns()
    this.#skipComments()
    this.#need('}')
    this.#skipComments()
    if (this.#peek().kind !== 'end') this.#fault(`expected the end of the graph, got ${this.#peek().text}`)
    return this.#builder.build()
  }

  // ---- what a graph consists of --------------------------------------------------------------------------------------

  #input(): void {
    const id = this.#id('%', 'an input')
    this.#need(':')
    const type = this.#type()
    this.#located(id, () => this.#builder.input(id.text.slice(1), type))
    this.#known.add(id.text)
  }

  #weight(): void {
    const id = this.#id('@', 'a weight')
    this.#need(':')
    const type = this.#type()
    if (this.#known.has(id.text)) this.#fault(`${id.text} is declared twice`, undefined, id)
    if (type.state) this.#fault(`weight ${id.text} cannot be a state`, undefined, id)
    this.#located(id, () => this.#builder.weight(id.text.slice(1), type.dtype, type.shape))
    this.#known.add(id.text)
  }

  #node(): void {
    const results: { id: Token; type: TensorType }[] = []
    do {
      const id = this.#id('%', results.length ? 'a result' : 'a weight, a result or `return`')
      this.#need(':')
      if (this.#known.has(id.text)) this.#fault(`${id.text} is defined twice`, undefined, id)
      results.push({ id, type: this.#type() })
    } while (this.#accept(','))
    this.#need('=')
    const at = this.#peek()
    const name = this.#take('word', 'an op').text
    const op = findOp(name) ?? this.#fault(`unknown op ${name}`, 'docs/ops.md lists every op', at)
    const operands = this.#operands(op, at)
    const attrs = this.#accept('{') ? this.#attributes() : {}
    const label = this.#labelOf()
    if (results.length !== op.results.length)
      this.#fault(
        `${name} has ${op.results.length} results (${op.results.join(', ')}), ${results.length} are named`,
        undefined,
        results[0]!.id,
      )
    const ids = results.map(({ id }) => id.text)
    const made = this.#located(at, () => this.#builder.appendAs(ids, op, operands, attrs, label))
    for (const [i, { id, type }] of results.entries()) {
      this.#known.add(id.text)
      if (!sameType(made[i]!.type, type))
        this.#fault(
          `${id.text} is stated as ${printType(type)}, ${name} gives ${printType(made[i]!.type)}`,
          undefined,
          id,
        )
    }
  }

  #operands(op: OpDefinition, at: Token): Record<string, Value> {
    const operands: Record<string, Value> = {}
    const required = Object.keys(op.operands)
    const takes = () => `its operands are ${[...required, ...Object.keys(op.optional)].join(', ')}`
    let position = 0
    this.#need('(')
    this.#list(')', () => {
      const start = this.#peek()
      let name = required[position]
      if (start.kind === 'word') {
        name = this.#take('word', 'an operand').text
        this.#need('=')
      } else position++
      if (name === undefined || (!Object.hasOwn(op.operands, name) && !Object.hasOwn(op.optional, name)))
        return this.#fault(
          name ? `${op.name} has no operand ${name}` : `${op.name} has too many operands`,
          takes(),
          start,
        )
      if (operands[name]) this.#fault(`operand ${name} of ${op.name} is given twice`, undefined, start)
      operands[name] = this.#value()
    })
    const missing = required.filter((name) => !operands[name])
    if (missing.length) this.#fault(`${op.name} lacks its operand ${missing.join(', ')}`, takes(), at)
    return operands
  }

  #attributes(): Record<string, AttrValue> {
    const attrs = new Map<string, AttrValue>()
    this.#list('}', () => {
      const name = this.#take('word', 'an attribute')
      if (attrs.has(name.text)) this.#fault(`attribute ${name.text} is given twice`, undefined, name)
      this.#need('=')
      attrs.set(name.text, this.#accept('[') ? this.#list(']', () => this.#scalar()) : this.#scalar())
    })
    return Object.fromEntries(attrs)
  }

  #scalar(): Scalar {
    const token = this.#tokens[this.#next++]!
    if (token.kind === 'number') return Number(token.text)
    if (token.text === 'true' || token.text === 'false') return token.text === 'true'
    if (token.kind !== 'string') this.#fault(`expected a value, got ${token.text}`, undefined, token)
    try {
      return JSON.parse(token.text) as string
    } catch {
      return this.#fault(`${token.text} is not a string`, 'strings are written as in JSON', token)
    }
  }

  #returns(): void {
    this.#next++
    while (this.#peek().text !== '}') {
      const start = this.#peek()
      // `return %y` names its only output y
      const name = start.kind === 'word' ? this.#take('word', 'a name').text : undefined
      if (name) this.#need('=')
      const value = this.#value()
      this.#located(start, () => this.#builder.output(name ?? 'y', value))
      if (!this.#accept(',')) break
    }
  }

  #type(): TensorType {
    const isState = this.#accept('state')
    const start = this.#peek()
    const dtype = this.#take('word', 'a dtype').text
    if (!isDtype(dtype))
      return this.#fault(
        `unknown dtype ${dtype}`,
        `known are ${[...scalarTypes, ...Object.keys(quantFormats)].join(', ')}`,
        start,
      )
    this.#need('[')
    const shape = this.#list(']', () => this.#dim())
    const type: TensorType = isState ? { dtype, shape, state: true } : { dtype, shape }
    const fault = typeFault(type)
    if (fault) this.#fault(fault, undefined, start)
    return type
  }

  #dim(): Dim {
    const token = this.#tokens[this.#next++]!
    if (token.kind === 'number') return Number(token.text)
    if (isSymbol(token.text)) return token.text
    return this.#fault(
      `expected a dim, got ${token.text}`,
      'a dim is a number, or a symbol that begins with a capital letter: T, B',
      token,
    )
  }

  #value(): Value {
    const token = this.#take('id', 'a value')
    if (!this.#known.has(token.text)) this.#fault(`${token.text} is used before it is defined`, undefined, token)
    return new Value(this.#builder, token.text)
  }

  // ---- tokens --------------------------------------------------------------------------------------------------------

  #peek(): Token {
    return this.#tokens[this.#next]!
  }

  #fault(message: string, help?: string, token = this.#peek()): never {
    return syntaxError(this.#text, token.at, message, help)
  }

  #take(kind: Token['kind'], what: string): Token {
    const token = this.#peek()
    if (token.kind !== kind) this.#fault(`expected ${what}, got ${token.text}`)
    this.#next++
    return token
  }

  #id(sigil: '%' | '@', what: string): Token {
    if (!this.#peek().text.startsWith(sigil)) this.#fault(`expected ${what}, got ${this.#peek().text}`)
    return this.#take('id', what)
  }

  #accept(mark: string): boolean {
    const found = this.#peek().text === mark
    if (found) this.#next++
    return found
  }

  #need(mark: string): void {
    if (!this.#accept(mark)) this.#fault(`expected \`${mark}\`, got ${this.#peek().text}`)
  }

  #list<T>(close: string, item: () => T): T[] {
    const items: T[] = []
    while (!this.#accept(close)) {
      if (items.length) this.#need(',')
      items.push(item())
    }
    return items
  }

  #skipComments(): void {
    while (this.#peek().kind === 'comment') this.#next++
  }

  /** A comment behind a node, on its line, is its label. */
  #labelOf(): string | undefined {
    const [before, token] = [this.#tokens[this.#next - 1]!, this.#peek()]
    if (token.kind !== 'comment' || this.#text.slice(before.at, token.at).includes('\n')) return undefined
    this.#next++
    return token.text.slice(2).trim() || undefined
  }

  /** Adds the place to a Diagnostic of the builder. */
  #located<T>(token: Token, build: () => T): T {
    try {
      return build()
    } catch (error) {
      if (!(error instanceof Diagnostic)) throw error
      const { code, summary: message, facts, help } = error
      return fail(
        { code, message, facts: [...place(this.#text, token.at), ...facts], ...(help ? { help } : {}) },
        error,
      )
    }
  }
}
