// Gives symbols their values: the decode graph is the step graph with T = 1.
import { invariant } from './diagnostic.ts'
import { type AttrValue, freezeNode, type Graph, type Node } from './graph.ts'
import { type Bindings, type Dim, isSymbol, type TensorType } from './type.ts'

/**
 * The same graph with each bound symbol replaced by its number, in types and in attributes that are shapes. L cannot be
 * bound: the context grows with every step.
 */
export function specialize(graph: Graph, bindings: Bindings, name = graph.name): Graph {
  invariant(bindings.L === undefined, 'L is never bound in a graph')
  const bound = (dim: Dim): Dim => (typeof dim === 'string' ? (bindings[dim] ?? dim) : dim)
  const specialized = new Map<TensorType, TensorType>() // equal types stay one
  const type = (t: TensorType): TensorType => {
    const known = specialized.get(t)
    if (known) return known
    const fixed = t.shape.some((dim) => bound(dim) !== dim)
      ? Object.freeze({ ...t, shape: Object.freeze(t.shape.map(bound)) })
      : t
    specialized.set(t, fixed)
    return fixed
  }
  const attr = (value: AttrValue | undefined) =>
    Array.isArray(value) ? value.map((v) => (isSymbol(v) ? bound(v) : v)) : value
  const node = (n: Node): Node =>
    Object.values(n.attrs).some((value) => Array.isArray(value) && value.some(isSymbol))
      ? freezeNode({ ...n, attrs: Object.fromEntries(Object.entries(n.attrs).map(([k, v]) => [k, attr(v)])) })
      : n
  const [types, nodes]: [Record<string, TensorType>, Record<string, Node>] = [{}, {}]
  for (const id in graph.types) types[id] = type(graph.types[id]!)
  for (const id in graph.nodes) nodes[id] = node(graph.nodes[id]!)
  return Object.freeze({ ...graph, name, types: Object.freeze(types), nodes: Object.freeze(nodes) })
}
