// GraphBuilder: how front ends, scripts and the parser make graphs.
import { Diagnostic, type Fact, fail, invariant } from './diagnostic.ts'
import { type Attrs, freezeNode, type Graph, isName, type Node, type Output, type ValueId } from './graph.ts'
import { inferTypes, orderOperands, parseAttrs, printSignature, rememberTypes } from './infer.ts'
import type { OpDefinition } from './op.ts'
import { shown } from './shown.ts'
import { type Dim, type Dtype, printType, sameType, state, type TensorType, tensor, typeFault } from './type.ts'
import { type GraphEditor, Value } from './value.ts'

export class GraphBuilder implements GraphEditor {
  readonly name: string
  #inputs: ValueId[] = []
  #weights: ValueId[] = []
  #types: Record<ValueId, TensorType> = {}
  #nodes: Record<ValueId, Node> = {}
  #madeBy = new Map<ValueId, Node>()
  #order: ValueId[] = []
  #outputs: Output[] = []
  #uses = new Map<ValueId, number>()
  readonly #reserved = new Set<ValueId>()
  #next = 0
  #scope: string[] = []

  constructor(name = 'main') {
    this.name = name
    this.#checkName('graph', name)
  }

  #checkName(what: string, name: unknown): void {
    const readable = typeof name === 'string' && isName(name) && (what !== 'output' || !/^\d/.test(name))
    if (!readable)
      fail({
        code: 'bad-name',
        message: `${what} cannot be called ${shown(name)}`,
        facts: what === 'graph' ? [] : [['in', `@${this.name}`]],
        help: 'names are letters, digits, `_`, `.` and `-`, so that the printed graph can be read back',
      })
  }

  #declare(what: string, id: ValueId, type: TensorType): void {
    const fault = typeFault(type)
    if (fault) fail({ code: 'bad-type', message: `${what} ${id}: ${fault}`, facts: [['in', `@${this.name}`]] })
    this.#types[id] = Object.freeze({ ...type, shape: Object.freeze([...type.shape]) })
  }

  /** A value that every run is given. */
  input(name: string, type: TensorType): Value {
    this.#checkName('input', name)
    const id = `%${name}`
    if (this.#types[id]) fail({ code: 'duplicate-input', message: `input ${id} is declared twice in @${this.name}` })
    this.#declare('input', id, type)
    this.#inputs.push(id)
    return new Value(this, id)
  }

  /** Memory that outlives a run, such as a KV cache. */
  state(name: string, dtype: Dtype, shape: readonly Dim[]): Value {
    return this.input(name, state(dtype, shape))
  }

  /** A weight by name; asking again for the same name gives the same weight. */
  weight(name: string, dtype: Dtype, shape: readonly Dim[]): Value {
    this.#checkName('weight', name)
    const id = `@${name}`
    const [known, type] = [this.#types[id], tensor(dtype, shape)]
    if (!known || typeFault(type)) {
      this.#declare('weight', id, type)
      this.#weights.push(id)
    } else if (!sameType(known, type)) {
      fail({
        code: 'duplicate-weight',
        message: `weight ${id} is asked for as two types`,
        facts: [
          ['first', printType(known)],
          ['now', printType(type)],
        ],
      })
    }
    return new Value(this, id)
  }

  /** Names what is built inside `build`: nodes get the label `scope.label`. */
  within<T>(scope: string, build: () => T): T {
    if (typeof scope !== 'string' || typeof build !== 'function')
      fail({
        code: 'bad-argument',
        message: `within takes a name and a function, got ${shown(scope)} and ${shown(build)}`,
        help: "graph.within('blk.0', () => ops.silu({ x }))",
      })
    this.#scope.push(scope)
    try {
      return build()
    } finally {
      this.#scope.pop()
    }
  }

  append(
    op: OpDefinition,
    operands: Record<string, Value | undefined>,
    attrs: Record<string, unknown>,
    label?: string,
  ): Value[] {
    return this.appendAs(undefined, op, operands, attrs, label)
  }

  /** As `append`, with ids given (the parser keeps the ids it reads). */
  appendAs(
    ids: readonly ValueId[] | undefined,
    op: OpDefinition,
    operands: Record<string, Value | undefined>,
    attrs: Record<string, unknown>,
    label?: string,
  ): Value[] {
    const path = [...this.#scope, ...(label ? [label] : [])].join('.').replace(/\s+/g, ' ').trim() // one line of text
    const inputs: Record<string, ValueId> = {}
    const inputTypes: Record<string, TensorType> = {}
    let [parsed, types]: [Attrs, readonly TensorType[]] = [{}, []]
    try {
      const given = orderOperands(op, operands)
      for (const name in given) {
        const { graph, id } = given[name]!
        if (graph !== this)
          fail({ code: 'foreign-value', message: `operand ${name} of ${op.name} (${id}) belongs to another graph` })
        inputs[name] = id
        inputTypes[name] = this.typeOf(id)
      }
      parsed = parseAttrs(op, attrs)
      types = inferTypes(op, inputTypes, parsed)
    } catch (error) {
      throw inNode(error, `${path || 'a node without a label'} in @${this.name}`, printSignature(op.name, inputTypes))
    }
    const out = ids ?? types.map(() => this.#freshId())
    const node = freezeNode({
      id: out[0]!,
      op: op.name,
      in: inputs,
      attrs: parsed,
      out: [...out],
      ...(path ? { label: path } : {}),
    })
    for (const [i, id] of out.entries()) {
      if (this.#types[id]) fail({ code: 'duplicate-value', message: `value ${id} is defined twice in @${this.name}` })
      this.#types[id] = types[i]!
      this.#madeBy.set(id, node)
    }
    for (const name in inputs) this.#uses.set(inputs[name]!, this.usesOf(inputs[name]!) + 1)
    rememberTypes(node, this.#types)
    this.#nodes[node.id] = node
    this.#order.push(node.id)
    return out.map((id) => new Value(this, id))
  }

  /** Ids that `append` shall not choose, because `appendAs` will give them. */
  reserve(ids: Iterable<ValueId>): void {
    for (const id of ids) this.#reserved.add(id)
  }

  #freshId(): ValueId {
    let id: ValueId
    do id = `%${this.#next++}`
    while (this.#types[id] || this.#reserved.has(id))
    return id
  }

  /** Names a result of the graph. */
  output(name: string, value: Value): void {
    this.#checkName('output', name)
    if (!(value instanceof Value))
      fail({
        code: 'bad-argument',
        message: `output ${name} is ${shown(value)}`,
        facts: [['expected', 'a value of the graph: an input, a weight, or the result of an op']],
        help: `output('${name}', ops.silu({ x }))`,
      })
    if (value.graph !== this)
      fail({ code: 'foreign-value', message: `output ${name} (${value.id}) belongs to another graph` })
    if (this.#outputs.some((output) => output.name === name)) {
      fail({ code: 'duplicate-output', message: `output ${name} is declared twice in @${this.name}` })
    }
    this.#outputs.push({ name, value: value.id })
    this.#uses.set(value.id, this.usesOf(value.id) + 1)
  }

  /** The value that a result was named for. */
  outputNamed(name: string): Value {
    const output = this.#outputs.find((one) => one.name === name)
    invariant(output, `@${this.name} has no output ${name} yet`)
    return new Value(this, output.value)
  }

  typeOf(id: ValueId): TensorType {
    const type = this.#types[id]
    invariant(type, `value ${id} is not in @${this.name}`)
    return type
  }
  nodeOf(id: ValueId): Node | undefined {
    return this.#madeBy.get(id)
  }
  usesOf(id: ValueId): number {
    return this.#uses.get(id) ?? 0
  }

  /** The finished graph, frozen: later additions to the builder do not show in it. */
  build(): Graph {
    return Object.freeze({
      name: this.name,
      inputs: Object.freeze([...this.#inputs]),
      weights: Object.freeze([...this.#weights]),
      types: Object.freeze({ ...this.#types }),
      nodes: Object.freeze({ ...this.#nodes }),
      order: Object.freeze([...this.#order]),
      outputs: Object.freeze(this.#outputs.map((output) => Object.freeze({ ...output }))),
    })
  }
}

/** What went wrong with a node, with where it is and what it was given, unless the message says so already. */
function inNode(error: unknown, where: string, signature: string): unknown {
  if (!(error instanceof Diagnostic)) return error
  const { code, summary: message, facts, help } = error
  const more: Fact[] = facts.some(([label]) => label === 'op') ? [] : [['op', signature]]
  return new Diagnostic(
    { code, message, facts: [['in', where], ...more, ...facts], ...(help ? { help } : {}) },
    { cause: error.cause },
  )
}
