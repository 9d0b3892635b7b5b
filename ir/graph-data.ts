// Seeded values for every input and weight of a graph, sensible where a graph asks for sense: positions, pages and
// requests that fit together, indices below what they index. And a comparison that says where two runs differ: what the proof of
// a pass is made of (passes/check-pass.ts).
import { type Graph, nodesOf, typeOf, type ValueId } from './graph.ts'
import { type HostTensor, storage } from './host-tensor.ts'
import { opNamed } from './op.ts'
import { executeReference, symbolsOf } from './reference.ts'
import { type Bindings, bindShape, isFloat, isQuant, product, stepSymbols, type TensorType } from './type.ts'

export interface GraphData {
  readonly inputs: Readonly<Record<string, HostTensor>>
  readonly weight: (name: string, type: TensorType) => HostTensor
  readonly bindings: Bindings
}

/** Numbers in [0, 1) from a seed (a 32-bit linear congruential generator, its high bits). */
export function uniforms(seed: number): () => number {
  let state = (seed ^ 0x2545f491) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) / 2 ** 24
  }
}

const hash = (text: string): number => [...text].reduce((h, c) => (Math.imul(h, 31) + c.charCodeAt(0)) | 0, 7)

/**
 * Data for a run of `graph`. Tokens of a step belong to the requests in equal parts; each request has its own pages, in
 * any order, and starts anywhere it fits. Other symbols get small sizes, each its own.
 * @param below limit of whole numbers of which the graph does not say what they are
 */
export function graphData(graph: Graph, seed = 1, sizes: Bindings = {}, below = 1 << 16): GraphData {
  const { T = 5, R = 2, M = 3 } = sizes
  const page = pageSize(graph)
  const [tokens, requests, pages] = [numberAt(graph, 'seq', 0) ?? T, numberAt(graph, 'page_table', 0) ?? R, M]
  const random = uniforms(seed)
  const perRequest = Math.ceil(tokens / requests)
  const seq = Array.from({ length: tokens }, (_, t) => Math.floor(t / perRequest))
  const start = Array.from({ length: requests }, () => Math.floor(random() * (pages * page - perRequest + 1)))
  const positions = seq.map((request, t) => start[request]! + (t % perRequest))
  const last = Array.from({ length: requests }, (_, r) => Math.max(0, ...positions.filter((_, t) => seq[t] === r)))
  const others = symbolsOf(graph).filter((symbol) => !stepSymbols.some((known) => known === symbol))
  const bindings: Bindings = {
    ...{ T, R, M, P: requests * pages + 1, L: Math.max(0, ...positions) + 1 },
    ...Object.fromEntries(others.map((symbol, i) => [symbol, 3 + i])),
    ...sizes,
  }
  const table = shuffled(requests * pages, random)

  const inputs: Record<string, HostTensor> = {}
  for (const id of graph.inputs) {
    const type = typeOf(graph, id)
    const shape = bindShape(type.shape, bindings)
    const roles = rolesOf(graph, id)
    const known = roles.has('page_table')
      ? table
      : roles.has('seq')
        ? seq
        : roles.has('positions')
          ? shape[0] === tokens
            ? positions
            : last
          : undefined
    const data = storage(type.dtype, product(shape))
    const limit = Math.min(...[...roles].map((role) => limitOf(graph, role, bindings)), below)
    for (let i = 0; i < data.length; i++)
      data[i] = isFloat(type.dtype) ? random() * 2 - 1 : (known?.[i] ?? Math.floor(random() * limit))
    inputs[id.slice(1)] = { dtype: type.dtype, shape, data }
  }
  return { inputs, weight: (name, type) => weightData(name, type, seed), bindings }
}

/** About 1/√K in size, so that matmuls keep the size of activations. */
function weightData(name: string, type: TensorType, seed: number): HostTensor {
  const shape = bindShape(type.shape, {})
  const random = uniforms(seed ^ hash(name))
  const data = storage(type.dtype, product(shape))
  const norm = shape.length > 1 ? Math.sqrt(3 / (shape.at(-1) || 1)) : 1
  const middle = shape.length > 1 || !(isFloat(type.dtype) || isQuant(type.dtype)) ? 0 : 1
  for (let i = 0; i < data.length; i++) data[i] = middle + (random() * 2 - 1) * norm * (middle ? 0.5 : 1)
  return { dtype: type.dtype, shape, data }
}

const shuffled = (n: number, random: () => number): number[] => {
  const list = Array.from({ length: n }, (_, i) => i)
  for (let i = n - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    ;[list[i], list[j]] = [list[j]!, list[i]!]
  }
  return list
}

const pageSize = (graph: Graph): number =>
  graph.inputs
    .map((id) => typeOf(graph, id))
    .filter(({ state, shape }) => state && shape.length === 4)
    .map(({ shape }) => shape[2] as number)[0] ?? 4

/** The number at a dim of the input that plays a role, if it is a number. */
function numberAt(graph: Graph, role: string, dim: number): number | undefined {
  const id = graph.inputs.find((input) => rolesOf(graph, input).has(role))
  const found = id && typeOf(graph, id).shape[dim]
  return typeof found === 'number' ? found : undefined
}

/** Names of the operands that an input is read as; `ids:@table` for indices, so that their limit is known. */
function rolesOf(graph: Graph, id: ValueId): Set<string> {
  const roles = new Set<string>()
  for (const node of nodesOf(graph)) {
    for (const [name, operand] of Object.entries(node.in)) {
      if (operand !== id) continue
      if (name === 'ids') roles.add(node.in.table ? `ids:${node.in.table}` : `history:${node.in.logits}`)
      else if (name === 'rows') roles.add(`rows:${node.in.x}`)
      else if (name === 'history' && node.in.logits) roles.add(`history:${node.in.logits}`)
      else roles.add(name)
    }
    // token ids that join the history are logits' columns
    const history = Object.values(opNamed(node.op).aliases).some((name) => node.in[name] === id)
    if (history && typeOf(graph, id).dtype === 'i32')
      for (const { in: read } of nodesOf(graph))
        if (read.logits && node.out.includes(read.history!)) roles.add(`history:${read.logits}`)
  }
  return roles
}

function limitOf(graph: Graph, role: string, bindings: Bindings): number {
  const [kind, id] = role.split(':')
  if (!id) return kind === 'top_k' ? 8 : Number.POSITIVE_INFINITY
  return bindShape(typeOf(graph, id).shape, bindings)[kind === 'history' ? 1 : 0]!
}

/** A run in f64, on copies of the states. */
export function runExactly(graph: Graph, data: GraphData): Record<string, HostTensor> {
  const inputs = Object.fromEntries(
    Object.entries(data.inputs).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
  )
  return executeReference(graph, { ...data, inputs, exact: true })
}

/** Where two runs differ by more than f64 rounds, in words: an output, its shape, an element; undefined where nowhere. */
export function differenceOf(
  got: Readonly<Record<string, HostTensor>>,
  expected: Readonly<Record<string, HostTensor>>,
  tolerance = 1e-10,
): string | undefined {
  const [names, wanted] = [Object.keys(got), Object.keys(expected)]
  if (names.join() !== wanted.join()) return `outputs are ${names.join(', ')}, expected ${wanted.join(', ')}`
  for (const [name, { shape, data }] of Object.entries(expected)) {
    const { shape: gotShape, data: values } = got[name]!
    if (gotShape.join() !== shape.join()) return `${name} is [${gotShape.join(', ')}], expected [${shape.join(', ')}]`
    for (let i = 0; i < data.length; i++) {
      const [a, b] = [values[i]!, data[i]!]
      if (!(Object.is(a, b) || Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b))))
        return `${name}[${i}] is ${a}, expected ${b}`
    }
  }
  return undefined
}
