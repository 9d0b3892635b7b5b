// View: where the elements of an operand lie in the buffer of the value it is a view of. Ops with the trait `view`
// (reshape, slice, transpose, repeat_kv) become views here and never a kernel.
import { invariant } from '../ir/diagnostic.ts'
import { type Graph, type Node, typeOf, type ValueId } from '../ir/graph.ts'
import type { Dim } from '../ir/type.ts'

export interface View {
  /** the value whose buffer holds the elements: never itself a view */
  readonly base: ValueId
  /** elements from the start of that buffer */
  readonly offset: number
  /** elements from one index to the next, per dim; `null` where it is a symbol times the stride of the next dim */
  readonly strides: readonly (number | null)[]
  /** how many consecutive heads (dim 2 of [R, L, H, C]) share one in memory; 1 = none */
  readonly groups: number
}

const known = new WeakMap<readonly Dim[], readonly (number | null)[]>()

function contiguousStrides(shape: readonly Dim[]): readonly (number | null)[] {
  const found = known.get(shape)
  if (found) return found
  const strides: (number | null)[] = shape.map(() => 1)
  for (let i = shape.length - 2; i >= 0; i--) {
    const [stride, dim] = [strides[i + 1]!, shape[i + 1]!]
    strides[i] = stride !== null && typeof dim === 'number' ? stride * dim : null
  }
  known.set(shape, strides)
  return strides
}

export const wholeView = (base: ValueId, shape: readonly Dim[]): View => ({
  base,
  offset: 0,
  strides: contiguousStrides(shape),
  groups: 1,
})

/** True if the elements lie in row-major order without gaps, from the view's offset. */
export function isContiguous(view: View, shape: readonly Dim[]): boolean {
  const dense = contiguousStrides(shape)
  return view.groups === 1 && view.strides.every((stride, i) => stride === dense[i] || shape[i] === 1)
}

/** True if what lies behind each index of dim 0 is dense, at one known distance: what `strided` operands take. */
export function isRowStrided(view: View, shape: readonly Dim[]): boolean {
  const inner = shape.slice(1)
  const dense = contiguousStrides(inner)
  const known = shape.length > 0 && view.strides[0] !== null
  return known && view.groups === 1 && view.strides.slice(1).every((stride, i) => stride === dense[i] || inner[i] === 1)
}

/** True if nothing but the repetition of heads is special: underneath, all heads lie densely from the buffer's start. */
export function isDenseRepeated(view: View, shape: readonly Dim[]): boolean {
  const heads = shape[2]
  if (typeof heads !== 'number' || view.offset !== 0) return false
  return isContiguous({ ...view, groups: 1 }, shape.with(2, heads / view.groups))
}

/** Layouts of every value of a graph. */
export function viewsOf(graph: Graph, viewOps: ReadonlySet<string>): Map<ValueId, View> {
  const views = new Map<ValueId, View>()
  const whole = (id: ValueId) => views.set(id, wholeView(id, typeOf(graph, id).shape))
  graph.inputs.forEach(whole)
  graph.weights.forEach(whole)
  for (const id of graph.order) {
    const node = graph.nodes[id]!
    const view = viewOps.has(node.op) ? seenThrough(graph, node, views) : undefined
    if (view) views.set(node.id, view)
    else node.out.forEach(whole)
  }
  return views
}

/** The layout that a view op gives its operand; undefined where only a copy can. */
function seenThrough(graph: Graph, node: Node, views: Map<ValueId, View>): View | undefined {
  const source = node.in.x!
  const view = views.get(source)
  invariant(view, `operand ${source} of ${node.id} has no layout`)
  const from = typeOf(graph, source).shape
  const to = typeOf(graph, node.id).shape
  switch (node.op) {
    case 'reshape':
      if (isContiguous(view, from)) return { ...view, strides: contiguousStrides(to) }
      // splitting or joining the inner dims keeps the row stride
      if (isRowStrided(view, from) && from[0] === to[0])
        return { ...view, strides: [view.strides[0]!, ...contiguousStrides(to.slice(1))] }
      return undefined
    case 'slice':
      return { ...view, offset: view.offset + (node.attrs.from as number) * (view.strides.at(-1) ?? 1) }
    case 'transpose':
      if (view.strides.some((s) => s === null) || view.groups !== 1) return undefined
      return { ...view, strides: (node.attrs.perm as number[]).map((p) => view.strides[p]!) }
    case 'repeat_kv':
      return { ...view, groups: view.groups * (node.attrs.groups as number) }
    default:
      return undefined
  }
}
