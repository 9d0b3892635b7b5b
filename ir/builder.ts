// GraphBuilder: how front ends, scripts and the parser make graphs.
import { fail, invariant } from './diagnostic.ts'
import type { Attrs, Graph, Node, Output, ValueId } from './graph.ts'
import { inferTypes, parseAttrs } from './infer.ts'
import type { OpDefinition } from './op.ts'
import { type Dim, type Dtype, state, type TensorType, tensor } from './type.ts'
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
  #next = 0
  #scope: string[] = []

  constructor(name = 'main') {
    this.name = name
  }

  /** A value that every run is given. */
  input(name: string, type: TensorType): Value {
    const id = `%${name}`
    if (this.#types[id]) fail({ code: 'duplicate-input', message: `input ${id} is declared twice in @${this.name}` })
    this.#inputs.push(id)
    this.#types[id] = type
    return new Value(this, id)
  }

  /** Memory that outlives a run, such as a KV cache. */
  state(name: string, dtype: Dtype, shape: readonly Dim[]): Value {
    return this.input(name, state(dtype, shape))
  }

  /** A weight by name; asking again for the same name gives the same weight. */
  weight(name: string, dtype: Dtype, shape: readonly Dim[]): Value {
    const id = `@${name}`
    if (!this.#types[id]) {
      this.#weights.push(id)
      this.#types[id] = tensor(dtype, shape)
    }
    return new Value(this, id)
  }

  /** Names what is built inside `build`: nodes get the label `scope.label`. */
  within<T>(scope: string, build: () => T): T {
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
    const given = Object.entries(operands).filter((entry): entry is [string, Value] => entry[1] !== undefined)
    for (const [name, value] of given) {
      invariant(value.graph === this, `operand ${name} of ${op.name} belongs to another graph`)
    }
    const parsed: Attrs = parseAttrs(op, attrs)
    const types = inferTypes(op, Object.fromEntries(given.map(([name, value]) => [name, value.type])), parsed)
    const out = ids ?? types.map(() => this.#freshId())
    const path = [...this.#scope, ...(label ? [label] : [])].join('.')
    const node: Node = {
      id: out[0]!,
      op: op.name,
      in: Object.fromEntries(given.map(([name, value]) => [name, value.id])),
      attrs: parsed,
      out,
      ...(path ? { label: path } : {}),
    }
    for (const [i, id] of out.entries()) {
      if (this.#types[id]) fail({ code: 'duplicate-value', message: `value ${id} is defined twice in @${this.name}` })
      this.#types[id] = types[i]!
      this.#madeBy.set(id, node)
    }
    for (const [, value] of given) this.#uses.set(value.id, this.usesOf(value.id) + 1)
    this.#nodes[node.id] = node
    this.#order.push(node.id)
    return out.map((id) => new Value(this, id))
  }

  #freshId(): ValueId {
    let id: ValueId
    do id = `%${this.#next++}`
    while (this.#types[id])
    return id
  }

  /** Names a result of the graph. */
  output(name: string, value: Value): void {
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

  /** The finished graph. */
  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      weights: [...this.#weights],
      types: { ...this.#types },
      nodes: { ...this.#nodes },
      order: [...this.#order],
      outputs: [...this.#outputs],
    }
  }
}
