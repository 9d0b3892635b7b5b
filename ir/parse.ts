// Reads the text form of a graph. Every op application is checked by its declaration, and the type that the text states
// must be the type that the op infers.

import { GraphBuilder } from './builder.ts'
import { Diagnostic, fail } from './diagnostic.ts'
import type { AttrValue, Graph, ValueId } from './graph.ts'
import { findOp, type OpDefinition } from './op.ts'
import './ops/index.ts'
import { quantFormats } from './quant.ts'
import {
  type Dim,
  type Dtype,
  dimSymbols,
  isDtype,
  isQuant,
  printType,
  sameType,
  state,
  type TensorType,
  tensor,
} from './type.ts'
import { Value } from './value.ts'

interface Token {
  readonly kind: 'id' | 'word' | 'number' | 'string' | 'punctuation' | 'label' | 'end'
  readonly text: string
  readonly at: number
}

const patterns = [
  ['space', /\s+/y],
  ['label', /\/\/[^\n]*/y],
  ['id', /[%@][\w.-]+/y],
  ['number', /-?(?:\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|Infinity)/y],
  ['string', /"(?:[^"\\\n]|\\.)*"/y],
  ['word', /[A-Za-z_][\w.-]*/y],
  ['punctuation', /[(){}[\]:,=]/y],
] as const

function tokenize(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < text.length) {
    let matched = false
    for (const [kind, pattern] of patterns) {
      pattern.lastIndex = at
      const found = pattern.exec(text)
      if (!found) continue
      if (kind !== 'space') tokens.push({ kind, text: found[0], at })
      at = pattern.lastIndex
      matched = true
      break
    }
    if (!matched) syntaxError(text, at, `unexpected character ${JSON.stringify(text[at])}`)
  }
  return [...tokens, { kind: 'end', text: 'the end of the text', at }]
}

function syntaxError(text: string, at: number, message: string, help?: string): never {
  const before = text.slice(0, at).split('\n')
  return fail({
    code: 'graph-syntax',
    message,
    facts: [
      ['at', `line ${before.length}, column ${before.at(-1)!.length + 1}`],
      ['line', (text.split('\n')[before.length - 1] ?? '').trim()],
    ],
    ...(help ? { help } : {}),
  })
}

/** The graph that `text` describes, in the form that `printGraph` writes. */
export function parseGraph(text: string): Graph {
  const tokens = tokenize(text)
  let next = 0
  const peek = () => tokens[next]!
  const fault = (message: string, help?: string): never => syntaxError(text, peek().at, message, help)
  const take = (kind: Token['kind'], what: string) =>
    peek().kind === kind ? tokens[next++]!.text : fault(`expected ${what}, got ${peek().text}`)
  const accept = (mark: string) => {
    const found = peek().text === mark
    if (found) next++
    return found
  }
  const need = (mark: string) => accept(mark) || fault(`expected \`${mark}\`, got ${peek().text}`)
  const list = <T>(close: string, item: () => T): T[] => {
    const items: T[] = []
    while (!accept(close)) {
      if (items.length) need(',')
      items.push(item())
    }
    return items
  }

  const type = (): TensorType => {
    const isState = accept('state')
    const dtype = take('word', 'a dtype')
    if (!isDtype(dtype))
      return fault(
        `unknown dtype ${dtype}`,
        `known are f32, f16, bf16, i32, u32, i8, u8, bool, ${Object.keys(quantFormats).join(', ')}`,
      )
    need('[')
    const shape = list(']', dim)
    checkBlocks(dtype, shape)
    return isState ? state(dtype, shape) : tensor(dtype, shape)
  }
  const dim = (): Dim => {
    if (peek().kind === 'number') {
      const n = Number(take('number', 'a dim'))
      return Number.isSafeInteger(n) && n >= 0 ? n : fault(`a dim must be a whole number, is ${n}`)
    }
    const symbol = take('word', 'a dim')
    return (
      dimSymbols.find((s) => s === symbol) ?? fault(`unknown dim ${symbol}`, `symbols are ${dimSymbols.join(', ')}`)
    )
  }
  const checkBlocks = (dtype: Dtype, shape: Dim[]) => {
    const last = shape.at(-1)
    if (!isQuant(dtype) || typeof last !== 'number') return
    const { block } = quantFormats[dtype]
    if (last % block) fault(`rows of ${dtype} must be a multiple of ${block}, are ${last}`)
  }
  const attr = (): AttrValue => {
    if (accept('[')) return list(']', () => attr() as number)
    if (peek().kind === 'string') return JSON.parse(take('string', 'a string'))
    if (peek().kind === 'number') return Number(take('number', 'a number'))
    const word = take('word', 'a value')
    return word === 'true' ? true : word === 'false' ? false : fault(`expected a value, got ${word}`)
  }

  const attribute = (): [string, AttrValue] => {
    const name = take('word', 'an attribute')
    need('=')
    return [name, attr()]
  }

  const signs = () => {
    while (peek().kind === 'label') next++
  }
  signs()
  if (take('word', '`graph`') !== 'graph') fault('a graph begins with `graph @name(`')
  const builder = new GraphBuilder(take('id', 'a name such as @main').slice(1))
  const known = new Set<ValueId>()
  const value = (): Value => {
    const token = peek()
    const id = take('id', 'a value')
    return known.has(id) ? new Value(builder, id) : syntaxError(text, token.at, `${id} is used before it is defined`)
  }
  need('(')
  for (const [id, t] of list(')', () => declaration(type))) {
    builder.input(id.slice(1), t)
    known.add(id)
  }
  function declaration(readType: () => TensorType): [ValueId, TensorType] {
    const id = take('id', 'a value')
    need(':')
    return [id, readType()]
  }
  need('{')
  for (;;) {
    signs()
    if (peek().text === 'return') break
    const start = peek()
    const results: [ValueId, TensorType][] = []
    do results.push(declaration(type))
    while (accept(','))
    if (start.text.startsWith('@')) {
      const [id, t] = results[0]!
      builder.weight(id.slice(1), t.dtype, t.shape)
      known.add(id)
      continue
    }
    need('=')
    const opAt = peek().at
    const name = take('word', 'an op')
    const op = findOp(name) ?? syntaxError(text, opAt, `unknown op ${name}`, 'docs/ops.md lists every op')
    const operands = readOperands(op, opAt)
    const attrs = accept('{') ? Object.fromEntries(list('}', attribute)) : {}
    const label = peek().kind === 'label' ? tokens[next++]!.text.slice(2).trim() : undefined
    if (results.length !== op.results.length)
      syntaxError(text, start.at, `${name} has ${op.results.length} results, ${results.length} are named`)
    const clash = results.find(([id]) => known.has(id))
    if (clash) syntaxError(text, start.at, `${clash[0]} is defined twice`)
    const made = located(start.at, () =>
      builder.appendAs(
        results.map(([id]) => id),
        op,
        operands,
        attrs,
        label,
      ),
    )
    for (const [i, [id, stated]] of results.entries()) {
      known.add(id)
      if (!sameType(made[i]!.type, stated)) {
        syntaxError(
          text,
          start.at,
          `${id} is stated as ${printType(stated)}, ${name} gives ${printType(made[i]!.type)}`,
        )
      }
    }
  }
  function readOperands(op: OpDefinition, opAt: number): Record<string, Value> {
    const operands: Record<string, Value> = {}
    const required = Object.keys(op.operands)
    let position = 0
    need('(')
    list(')', () => {
      if (peek().kind === 'word') {
        const name = take('word', 'an operand')
        need('=')
        operands[name] = value()
      } else {
        const name = required[position++]
        if (!name) syntaxError(text, opAt, `${op.name} has ${required.length} operands: ${required.join(', ')}`)
        operands[name!] = value()
      }
    })
    const missing = required.filter((name) => !operands[name])
    if (missing.length) syntaxError(text, opAt, `${op.name} lacks its operand ${missing.join(', ')}`)
    return operands
  }
  function located<T>(at: number, build: () => T): T {
    try {
      return build()
    } catch (error) {
      if (!(error instanceof Diagnostic)) throw error
      const line = text.slice(0, at).split('\n').length
      return fail(
        {
          code: error.code,
          message: error.summary,
          facts: [['at', `line ${line}`], ...error.facts],
          ...(error.help ? { help: error.help } : {}),
        },
        error,
      )
    }
  }
  need('return')
  do {
    // `return %y` names its only output y
    const name = peek().kind === 'word' ? take('word', 'a name') : undefined
    if (name) need('=')
    builder.output(name ?? 'y', value())
  } while (accept(','))
  need('}')
  signs()
  if (peek().kind !== 'end') fault(`expected the end of the graph, got ${peek().text}`)
  return builder.build()
}
