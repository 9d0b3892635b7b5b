// Gives symbols their values: the decode graph is the step graph with T = 1.
import type { AttrValue, Graph, Node } from './graph.ts'
import { type Bindings, type Dim, type DimSymbol, dimSymbols, type TensorType } from './type.ts'

const isSymbol = (value: unknown): value is DimSymbol => dimSymbols.some((symbol) => symbol === value)

/** The same graph with each bound symbol replaced by its number, in types and in attributes that are shapes. */
export function specialize(graph: Graph, bindings: Bindings, name = graph.name): Graph {
  const bound = (dim: Dim): Dim => (typeof dim === 'string' ? (bindings[dim] ?? dim) : dim)
  const type = (t: TensorType): TensorType => ({ ...t, shape: t.shape.map(bound) })
  const attr = (value: AttrValue | undefined) =>
    Array.isArray(value) ? value.map((v) => (isSymbol(v) ? bound(v) : v)) : value
  const node = (n: Node): Node => ({
    ...n,
    attrs: Object.fromEntries(Object.entries(n.attrs).map(([k, v]) => [k, attr(v)])),
  })
  return {
    ...graph,
    name,
    types: Object.fromEntries(Object.entries(graph.types).map(([id, t]) => [id, type(t)])),
    nodes: Object.fromEntries(Object.entries(graph.nodes).map(([id, n]) => [id, node(n)])),
  }
}
