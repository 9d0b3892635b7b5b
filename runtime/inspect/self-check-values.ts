// Inputs for a kernel that is checked alone: small, seeded, and meaningful where an operand is an index.
import { evaluate } from '../../codegen/extent.ts'
import type { Site } from '../../codegen/kernel.ts'
import type { View } from '../../codegen/view.ts'
import { invariant } from '../../ir/diagnostic.ts'
import { numberToF16 } from '../../ir/half.ts'
import { type HostTensor, storage } from '../../ir/host-tensor.ts'
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import { type Bindings, bindShape, isFloat, isQuant, product, rowBytes } from '../../ir/type.ts'

/** An operand as the kernel finds it in memory and as the reference reads it. */
export interface CheckOperand {
  readonly bytes: Uint8Array
  readonly tensor: HostTensor
}

const tokens = 5
const requests = 2
const context = 40

/** Values of the symbols of a site: a few tokens of two requests, a few pages; of a user's own a few. */
export function checkBindings({ types }: Site): Required<Bindings> {
  const own = new Set(
    Object.values(types).flatMap(({ shape }) => shape.filter((dim): dim is string => typeof dim === 'string')),
  )
  const cache = Object.values(types).find(({ state, shape }) => state && shape.length === 4)
  const page = cache?.shape[2]
  const [rows, table] = types.page_table?.shape ?? []
  // the rows of a batch are a number, those of a prompt's chunk a symbol
  const R = typeof rows === 'number' ? rows : requests
  const most = Math.max(
    tokens,
    ...Object.values(types).map(({ shape }) => (typeof shape[0] === 'number' ? shape[0] : 0)),
  )
  const positions = types.seq || types.positions ? most + 8 : 0
  const wanted = Math.max(context, Math.min(positions, 4096))
  const paged = typeof page === 'number' ? page : wanted
  const M = typeof table === 'number' ? table : Math.ceil(wanted / paged)
  const others = Object.fromEntries([...own].map((symbol, i) => [symbol, 3 + i]))
  return { ...others, T: tokens, R, L: types.page_table ? Math.min(wanted, M * paged) : wanted, P: R * M, M }
}

/** Operand `name` of the site, the same for the same seed. Undefined where no valid values can be made. */
export function checkOperand(site: Site, name: string, bindings: Required<Bindings>, seed: number): CheckOperand {
  const { dtype, shape: dims } = site.types[name]!
  const shape = bindShape(dims, bindings)
  if (isQuant(dtype)) {
    const bytes = quantisedNoise(dtype, product(shape.slice(0, -1)) * rowBytes(dtype, shape.at(-1)!), seed)
    return { bytes, tensor: decodeTensor(dtype, shape, bytes) }
  }
  const layout = layoutOf(site.views[name], shape)
  const values = isFloat(dtype)
    ? floats(name, layout.length, seed)
    : Float64Array.from(integers(site, name, shape, bindings, seed))
  const bytes = encodeValues(dtype, values)
  const held = decodeTensor(dtype, [layout.length], bytes) // rounded to the dtype
  const data = storage(dtype, product(shape))
  for (let i = 0; i < data.length; i++) data[i] = held.data[layout.at(i)]!
  return { bytes, tensor: { dtype, shape, data } }
}

/** Where the elements of a view lie: element i of the logical tensor in its buffer of `length` elements. */
function layoutOf(view: View | undefined, shape: readonly number[]): { length: number; at(i: number): number } {
  const dense: number[] = []
  for (let i = shape.length - 1, stride = 1; i >= 0; stride *= shape[i--]!) dense.unshift(stride)
  if (!view) return { length: product(shape), at: (i) => i }
  const held = shape.map((n, d) => (d === 2 && view.groups > 1 ? n / view.groups : n))
  const inner: number[] = []
  for (let i = held.length - 1, stride = 1; i >= 0; stride *= held[i--]!) inner.unshift(stride)
  const strides = view.strides.map((stride, d) => stride ?? inner[d]!)
  const last = held.reduce((at, n, d) => at + Math.max(0, n - 1) * strides[d]!, view.offset)
  return {
    length: last + 1,
    at: (i) =>
      shape.reduce((at, n, d) => {
        const index = Math.floor(i / dense[d]!) % n
        return at + (d === 2 && view.groups > 1 ? Math.floor(index / view.groups) : index) * strides[d]!
      }, view.offset),
  }
}

// ---- numbers -------------------------------------------------------------------------------------------------------

/** Uniform in [0, 1). */
function noise(seed: number): () => number {
  let state = (Math.imul(seed + 1, 2654435761) + 12345) >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state >>> 8) / 2 ** 24
  }
}

/** Ranges that an op asks of some operands; else ±1. */
const ranges: Readonly<Record<string, readonly [number, number]>> = {
  temperature: [0.5, 1.2],
  top_p: [0.7, 1],
  min_p: [0, 0.1],
  penalty: [1, 1.5],
  factors: [1, 4],
}

function floats(name: string, n: number, seed: number): Float64Array {
  const [low, high] = ranges[name] ?? [-1, 1]
  const next = noise(seed)
  return Float64Array.from({ length: n }, () => low + (high - low) * next())
}

/** Token ids, positions, page tables: what stands in a step of several requests. */
function integers(
  site: Site,
  name: string,
  shape: readonly number[],
  bindings: Required<Bindings>,
  seed: number,
): Iterable<number> {
  const n = product(shape)
  const next = noise(seed)
  const below = (limit: number) => Array.from({ length: n }, () => Math.floor(next() * limit))
  const dim = (operand: string, axis: number): number => evaluate(site.types[operand]!.shape.at(axis)!, bindings)
  if (name === 'ids') return below(site.types['table'] ? dim('table', 0) : dim('logits', 1))
  if (name === 'rows') return below(dim('x', 0))
  if (name === 'top_k') return below(40)
  if (name === 'history') return below(site.types.logits ? dim('logits', 1) : 50)
  if (name === 'page_table') return Array.from({ length: n }, (_, i) => n - 1 - i)
  const R = site.types.page_table ? dim('page_table', 0) : bindings.R
  if (name === 'seq') return Array.from({ length: n }, (_, t) => requestOf(t, n, site, R))
  if (name === 'positions') {
    if (!site.types.seq) return Array.from({ length: n }, (_, t) => t + 3)
    const firsts = new Map<number, number>()
    return Array.from({ length: n }, (_, t) => {
      const request = requestOf(t, n, site, R)
      const first = firsts.get(request) ?? t
      firsts.set(request, first)
      return t - first + 3
    })
  }
  return below(50)
}

/** Tokens of a request follow each other. */
function requestOf(t: number, n: number, site: Site, R: number): number {
  const rows = ['k', 'v'].map((name) => site.types[name]).find((type) => type?.shape.length === 4)?.shape[0]
  const requests = typeof rows === 'number' ? rows : R
  return Math.min(requests - 1, Math.floor((t * requests) / n))
}

/** Where a block keeps its f16 scales; all its other bytes may be anything. */
const scales: Readonly<Record<QuantType, readonly number[]>> = {
  q8_0: [0],
  q4_0: [0],
  q4_1: [0, 2],
  q5_0: [0],
  q5_1: [0, 2],
  q4_k: [0, 2],
  q5_k: [0, 2],
  q6_k: [208],
}

/** Blocks of random codes under small scales. */
function quantisedNoise(dtype: QuantType, size: number, seed: number): Uint8Array {
  const { bytes: blockBytes } = quantFormats[dtype]
  invariant(size % blockBytes === 0, `${size} bytes are no whole number of ${dtype} blocks`)
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer, 0, size >> 2)
  let state = (Math.imul(seed + 1, 2654435761) + 12345) >>> 0
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    words[i] = state ^ (state >>> 15)
  }
  const view = new DataView(bytes.buffer)
  const scale = dtype.endsWith('_k') ? 2 ** -10 : 2 ** -6
  for (let at = 0, block = 0; at < size; at += blockBytes, block++)
    for (const field of scales[dtype]) view.setUint16(at + field, numberToF16(scale * (1 + (block % 7) / 8)), true)
  return bytes
}
