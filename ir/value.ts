// Value: a handle on one value of a graph under construction. Calling an op with handles appends a node; rules of passes
// match on a handle's `op`, `in`, `attrs` and `uses`.
import { type Attrs, isWeight, type Node, type ValueId } from './graph.ts'
import type { OpDefinition } from './op.ts'
import type { TensorType } from './type.ts'

/** A graph that can be read by value and appended to: the builder, and the rewriter of passes. */
export interface GraphEditor {
  append(
    op: OpDefinition,
    operands: Record<string, Value | undefined>,
    attrs: Record<string, unknown>,
    label?: string,
  ): Value[]
  typeOf(id: ValueId): TensorType
  /** the node that computes a value; inputs and weights have none */
  nodeOf(id: ValueId): Node | undefined
  usesOf(id: ValueId): number
}

export class Value {
  readonly graph: GraphEditor
  readonly id: ValueId
  /** @internal */
  constructor(graph: GraphEditor, id: ValueId) {
    this.graph = graph
    this.id = id
  }
  get type(): TensorType {
    return this.graph.typeOf(this.id)
  }
  /** name of the op that computes it; `input` or `weight` where no node does */
  get op(): string {
    return this.graph.nodeOf(this.id)?.op ?? (isWeight(this.id) ? 'weight' : 'input')
  }
  /** operands of that op */
  get in(): Record<string, Value> {
    const operands: Record<string, Value> = {}
    const node = this.graph.nodeOf(this.id)
    if (node) for (const name in node.in) operands[name] = new Value(this.graph, node.in[name]!)
    return operands
  }
  get attrs(): Attrs {
    return this.graph.nodeOf(this.id)?.attrs ?? {}
  }
  get label(): string | undefined {
    return this.graph.nodeOf(this.id)?.label
  }
  /** which result of its op this is: 0 for the first */
  get index(): number {
    return this.graph.nodeOf(this.id)?.out.indexOf(this.id) ?? 0
  }
  /** how often it is read */
  get uses(): number {
    return this.graph.usesOf(this.id)
  }
}
