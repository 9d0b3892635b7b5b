// Graph: what to compute, as a flat table of nodes in schedule order. Plain immutable data: passes make new graphs.
// Ids carry their sigil: `%12` and `%tokens` are computed values and inputs, `@blk.0.attn_q.weight` are weights.
import { invariant } from './diagnostic.ts'
import type { TensorType } from './type.ts'

export type ValueId = string
export type Scalar = number | string | boolean
export type AttrValue = Scalar | readonly Scalar[]
export type Attrs = Readonly<Record<string, AttrValue | undefined>>

/** One application of an op. Its id is the id of its first result. */
export interface Node {
  readonly id: ValueId
  readonly op: string
  /** operands by name */
  readonly in: Readonly<Record<string, ValueId>>
  readonly attrs: Attrs
  /** results, in the order the op declares */
  readonly out: readonly ValueId[]
  /** where in the model it came from: `blk.3.ffn_down` */
  readonly label?: string
}

export interface Output {
  readonly name: string
  readonly value: ValueId
}

export interface Graph {
  readonly name: string
  /** given at every step, in order */
  readonly inputs: readonly ValueId[]
  /** given once; the graph holds names and types, never bytes */
  readonly weights: readonly ValueId[]
  readonly types: Readonly<Record<ValueId, TensorType>>
  readonly nodes: Readonly<Record<ValueId, Node>>
  /** node ids; every operand is defined before its use */
  readonly order: readonly ValueId[]
  readonly outputs: readonly Output[]
}

export const isWeight = (id: ValueId): boolean => id.startsWith('@')

export function typeOf(graph: Graph, id: ValueId): TensorType {
  const type = graph.types[id]
  invariant(type, `value ${id} has no type in @${graph.name}`)
  return type
}

/** Nodes in schedule order. */
export const nodesOf = (graph: Graph): Node[] => graph.order.map((id) => nodeOf(graph, id))

export function nodeOf(graph: Graph, id: ValueId): Node {
  const node = graph.nodes[id]
  invariant(node, `no node ${id} in @${graph.name}`)
  return node
}

/** What names of graphs, inputs, weights and outputs look like, so that their text form can be read back. */
export const isName = (name: string): boolean => /^[A-Za-z0-9_][\w.-]*$/.test(name)

/** The node, frozen: graphs share nodes, so none may change. */
export function freezeNode(node: Node): Node {
  Object.freeze(node.in)
  Object.freeze(node.out)
  for (const name in node.attrs) Object.freeze(node.attrs[name])
  Object.freeze(node.attrs)
  return Object.freeze(node)
}

/** `%87 (blk.3.ffn_down) in @decode`, for errors. */
export const describeNode = (graph: { readonly name: string }, node: Node): string =>
  `${node.id}${node.label ? ` (${node.label})` : ''} in @${graph.name}`
