// What a graph costs, as far as it can be told without kernels: for tables of what each pass saves.
import { type Graph, type Node, nodesOf, typeOf, type ValueId } from '../ir/graph.ts'
import { opNamed } from '../ir/op.ts'
import { type Bindings, byteSize, type Dim, type TensorType } from '../ir/type.ts'

interface GraphStatistics {
  /** nodes */
  readonly ops: number
  /** nodes that need a launch if each is one kernel: no views, nothing that is evaluated when weights are loaded */
  readonly kernels: number
  /** bytes of weights that a step reads */
  readonly weightBytes: number
  /** bytes that a step reads and writes if each kernel reads its operands and writes its results once, weights included */
  readonly bytes: number
}

/** Counts of one step; `bindings` give every symbol of the graph's types a value (T also counts tokens where it is fixed). */
export function graphStatistics(graph: Graph, bindings: Bindings): GraphStatistics {
  const loaded = new Set<ValueId>(graph.weights)
  const kernels: Node[] = []
  for (const node of nodesOf(graph)) {
    const { traits } = opNamed(node.op)
    if (traits.includes('view')) {
      if (loaded.has(node.in.x!)) loaded.add(node.id)
    } else if (traits.includes('load')) loaded.add(node.id)
    else kernels.push(node)
  }
  let [bytes, weightBytes] = [0, 0]
  for (const node of kernels) {
    const op = opNamed(node.op)
    const updated = new Set(Object.values(op.aliases))
    const result = typeOf(graph, node.id)
    for (const name in node.in) {
      const id = node.in[name]!
      const type = typeOf(graph, id)
      if (updated.has(name)) continue
      const read = op.gathers.includes(name) ? rowsLike(type, result) : type.state ? seen(type, bindings) : type
      bytes += byteSize(read, bindings)
      if (loaded.has(id)) weightBytes += byteSize(read, bindings)
    }
    for (const out of node.out) bytes += byteSize(written(typeOf(graph, out), bindings), bindings)
  }
  return { ops: graph.order.length, kernels: kernels.length, weightBytes, bytes }
}

/** As many rows of a table as the result has. */
const rowsLike = (table: TensorType, result: TensorType): TensorType => ({
  ...table,
  shape: [result.shape[0]!, ...table.shape.slice(1)],
})

/** What a step can see of a paged cache [P, heads, page, channels]: L positions of each request, or all that there is. */
function seen({ dtype, shape }: TensorType, bindings: Bindings): TensorType {
  const { L, R = 1 } = bindings
  const [P = 1, heads = 1, page = 1, channels = 1] = shape
  const places: Dim[] = L === undefined ? [P, page] : [L * R]
  return { dtype, shape: [...places, heads, channels] }
}

/** Of a paged cache a step writes the places of its tokens. */
const written = (type: TensorType, bindings: Bindings): TensorType =>
  type.state ? { dtype: type.dtype, shape: [bindings.T ?? 1, type.shape[1] ?? 1, type.shape[3] ?? 1] } : type
