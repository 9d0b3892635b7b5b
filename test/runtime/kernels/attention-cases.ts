// Attention: grouped heads 1 to 8, head sizes 32 to 256, windows, several requests, cache dtypes, long and short
// contexts; fused and as its two products.

import type { KernelSpec } from '../../../codegen/kernel.ts'
import {
  attentionDecodeKernel,
  attentionSplitKernel,
  ropeAttentionKernel,
} from '../../../codegen/kernels/attention/decode.ts'
import { attentionPrefillKernel } from '../../../codegen/kernels/attention/prefill.ts'
import { attentionPrefillMatrixKernel } from '../../../codegen/kernels/attention/prefill-matrix.ts'
import { attention, pvMatmul, qkMatmul, repeatKv, reshape, ropeAttention, slice } from '../../../ir/ops/index.ts'
import { type CacheType, type Dim, type FloatType, tensor } from '../../../ir/type.ts'
import { Value } from '../../../ir/value.ts'
import { inBlocks, type KernelCase, noise } from '../kernel-harness.ts'

interface Shape {
  readonly name: string
  readonly q: FloatType
  readonly kv: CacheType
  readonly y: FloatType
  readonly H: number
  readonly Hkv: number
  readonly C: number
  readonly page: number
  /** positions of the tokens of this step, by request */
  readonly requests: readonly (readonly number[])[]
  readonly window?: number
  /** [request, position] of values that are infinite: only what sees them may be */
  readonly infinite?: readonly (readonly [number, number])[]
}

/** Pages of all requests in a scattered order; none beyond what a request needs. */
function pageTable(requests: Shape['requests'], page: number): { table: number[]; M: number; P: number } {
  const needs = requests.map((positions) => Math.floor(Math.max(...positions) / page) + 1)
  const M = Math.max(...needs)
  const P = needs.reduce((a, b) => a + b, 0)
  const order = Array.from({ length: P }, (_, i) => (i * 7 + 3) % P)
  if (new Set(order).size !== P)
    order.reverse().forEach((_, i) => {
      order[i] = P - 1 - i
    })
  let next = 0
  return { table: needs.flatMap((n) => Array.from({ length: M }, (_, i) => (i < n ? order[next++]! : -1))), M, P }
}

/** Values of the cache [P, Hkv, page, C]. */
function cachedValues({ Hkv, C, page, requests, infinite = [] }: Shape): Float32Array {
  const { table, M, P } = pageTable(requests, page)
  const values = noise(3, P * Hkv * page * C)
  for (const [request, position] of infinite) {
    const at = table[request * M + Math.floor(position / page)]!
    for (let h = 0; h < Hkv; h++) {
      const from = ((at * Hkv + h) * page + (position % page)) * C
      values.fill(Number.POSITIVE_INFINITY, from, from + C)
    }
  }
  return values
}

function attentionCase(shape: Shape, T: Dim, kernel: string, specs?: readonly KernelSpec[]): KernelCase {
  const { q, kv, y, H, Hkv, C, page, requests, window } = shape
  const { table, M, P } = pageTable(requests, page)
  const positions = requests.flat()
  const seq = requests.flatMap((list, r) => list.map(() => r))
  return {
    name: `${kernel} ${shape.name}`,
    graph: (g) => {
      const at = {
        positions: g.input('positions', tensor('i32', [T])),
        seq: g.input('seq', tensor('i32', [T])),
        page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
      }
      g.output(
        'y',
        attention(
          {
            q: g.input('q', tensor(q, [T, H, C])),
            k_cache: g.state('k_cache', kv, ['P', Hkv, page, C]),
            v_cache: g.state('v_cache', kv, ['P', Hkv, page, C]),
            ...at,
          },
          { scale: 1 / Math.sqrt(C), window, dtype: y },
        ),
      )
    },
    values: {
      q: noise(1, positions.length * H * C, 3),
      k_cache: noise(2, P * Hkv * page * C, 2),
      v_cache: cachedValues(shape),
      positions,
      seq,
      page_table: table,
    },
    bindings: { T: positions.length, R: requests.length, M, P, L: Math.max(...positions) + 1 },
    ...(specs ? { specs } : {}),
  }
}

/** rope_attention on the last token of each request: q, k, v apart, or as rows of one product. */
function ropeCase(
  shape: Shape,
  {
    dims = shape.C,
    style = 'half-split',
    factors = false,
    merged = false,
    norms = [],
    grid = 0,
    magnitude,
    kernel = ropeAttentionKernel,
  }: {
    readonly dims?: number
    readonly style?: 'half-split' | 'interleaved'
    readonly factors?: boolean
    readonly merged?: boolean
    /** dtypes of the weights that heads of q and k are normed with */
    readonly norms?: readonly [q?: FloatType | undefined, k?: FloatType | undefined]
    readonly grid?: number
    readonly magnitude?: number
    readonly kernel?: KernelSpec
  } = {},
): KernelCase {
  const { q, kv, y, H, Hkv, C, page, requests, window } = shape
  const { table, M, P } = pageTable(requests, page)
  const positions = requests.flat()
  const T = positions.length
  const width = (H + 2 * Hkv) * C
  return {
    name: `rope_attention ${shape.name}${merged ? ', merged' : ''}${norms.length ? `, normed ${norms}` : ''}${grid ? ` in ${grid} blocks` : ''}`,
    graph: (g) => {
      const x = g.input('x', tensor(q, [T, width]))
      const part = (name: string, from: number, heads: number) =>
        merged
          ? reshape({ x: slice({ x }, { from: from * C, to: (from + heads) * C }) }, { shape: [T, heads, C] })
          : g.input(name, tensor(q, [T, heads, C]))
      const made = ropeAttention(
        {
          q: part('q', 0, H),
          k: part('k', H, Hkv),
          v: part('v', H + Hkv, Hkv),
          k_cache: g.state('k_cache', kv, ['P', Hkv, page, C]),
          v_cache: g.state('v_cache', kv, ['P', Hkv, page, C]),
          positions: g.input('positions', tensor('i32', [T])),
          seq: g.input('seq', tensor('i32', [T])),
          page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
          factors: factors ? g.weight('factors', 'f32', [dims / 2]) : undefined,
          q_norm: norms[0] && g.weight('q_norm', norms[0], [C]),
          k_norm: norms[1] && g.weight('k_norm', norms[1], [C]),
        },
        {
          ...{ theta: 10000, dims, style, magnitude, scale: 1 / Math.sqrt(C), window, dtype: y },
          eps: norms.length ? 0.01 : undefined,
        },
      )
      g.output('y', made.y)
      g.output('k', made.k_cache)
      g.output('v', made.v_cache)
    },
    values: {
      x: noise(9, T * width, 2),
      q: noise(1, T * H * C, 3),
      k: noise(4, T * Hkv * C, 2),
      v: noise(5, T * Hkv * C),
      k_cache: noise(2, P * Hkv * page * C, 2),
      v_cache: cachedValues(shape),
      q_norm: noise(6, C).map((w) => 1 + w / 2),
      k_norm: noise(7, C).map((w) => 1 + w / 2),
      factors: Array.from({ length: dims / 2 }, (_, i) => 1 + (i % 3) / 2),
      positions,
      seq: requests.flatMap((list, r) => list.map(() => r)),
      page_table: table,
    },
    bindings: { T, R: requests.length, M, P, L: Math.max(...positions) + 1 },
    specs: [grid ? inBlocks(grid, kernel) : kernel],
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

const shapes: readonly Shape[] = [
  { name: 'one head', q: 'f32', kv: 'f32', y: 'f32', H: 1, Hkv: 1, C: 8, page: 4, requests: [[0]] },
  {
    name: 'groups of 2, C 64, f16',
    q: 'f32',
    kv: 'f16',
    y: 'f32',
    H: 4,
    Hkv: 2,
    C: 64,
    page: 16,
    requests: [[150], [9]],
  },
  {
    name: 'groups of 3, C 32, bf16',
    q: 'bf16',
    kv: 'bf16',
    y: 'bf16',
    H: 6,
    Hkv: 2,
    C: 32,
    page: 16,
    requests: [[40], [300]],
  },
  {
    name: 'groups of 8, C 80, window',
    q: 'f16',
    kv: 'f16',
    y: 'f16',
    H: 8,
    Hkv: 1,
    C: 80,
    page: 8,
    requests: [[5], [200]],
    window: 70,
  },
  { name: 'C 128', q: 'f32', kv: 'bf16', y: 'f32', H: 4, Hkv: 1, C: 128, page: 32, requests: [[63]] },
  { name: 'C 256', q: 'f32', kv: 'f16', y: 'f32', H: 2, Hkv: 2, C: 256, page: 16, requests: [[33]] },
  { name: 'C 96', q: 'f32', kv: 'f32', y: 'f16', H: 2, Hkv: 2, C: 96, page: 16, requests: [[70]] },
  { name: 'odd head, odd page', q: 'f32', kv: 'f32', y: 'f32', H: 3, Hkv: 1, C: 10, page: 5, requests: [[17]] },
]
/** H = group · 2 query heads, one request of two with many splits. */
const grouped = (group: number): Shape => ({
  name: `groups of ${group}, few blocks`,
  q: 'f32',
  kv: 'f16',
  y: 'f32',
  H: group * 2,
  Hkv: 2,
  C: 32,
  page: 16,
  requests: [[437], [2]],
})
const prompts: readonly Shape[] = [
  { name: 'one token', q: 'f32', kv: 'f16', y: 'f32', H: 4, Hkv: 2, C: 32, page: 16, requests: [[20]] },
  { name: 'one prompt', q: 'f32', kv: 'f16', y: 'f32', H: 4, Hkv: 2, C: 64, page: 16, requests: [range(0, 75)] },
  {
    name: 'second chunk, window',
    q: 'f16',
    kv: 'bf16',
    y: 'f16',
    H: 6,
    Hkv: 2,
    C: 32,
    page: 16,
    requests: [range(50, 90)],
    window: 33,
  },
  {
    name: 'three requests',
    q: 'bf16',
    kv: 'f32',
    y: 'bf16',
    H: 2,
    Hkv: 2,
    C: 80,
    page: 8,
    requests: [range(0, 5), [31], range(12, 25)],
  },
  {
    name: 'infinite values, window',
    q: 'f32',
    kv: 'f16',
    y: 'f32',
    H: 4,
    Hkv: 2,
    C: 32,
    page: 8,
    requests: [range(0, 4), [9], range(40, 60), [3]],
    window: 12,
    infinite: [
      [0, 3],
      [1, 9],
      [2, 33],
      [2, 57],
    ],
  },
  {
    name: 'groups of 8, C 128',
    q: 'f32',
    kv: 'f16',
    y: 'f32',
    H: 8,
    Hkv: 1,
    C: 128,
    page: 16,
    requests: [range(3, 20)],
  },
  { name: 'C 256', q: 'f32', kv: 'f16', y: 'f32', H: 2, Hkv: 1, C: 256, page: 16, requests: [range(0, 19)] },
  { name: 'odd head', q: 'f32', kv: 'f32', y: 'f32', H: 5, Hkv: 1, C: 10, page: 5, requests: [range(7, 24)] },
]

/** Two layers, the second of which counts blocks where the first has counted. */
function twice(shape: Shape): KernelCase {
  const one = attentionCase(shape, shape.requests.length, 'split', [inBlocks(7, attentionSplitKernel)])
  return {
    ...one,
    name: `${one.name}, twice in 7 blocks`,
    graph: (g) => {
      one.graph(g)
      const made = (name: string) => new Value(g, `%${name}`)
      const where = { positions: made('positions'), seq: made('seq'), page_table: made('page_table') }
      const operands = { q: made('q'), k_cache: made('v_cache'), v_cache: made('k_cache'), ...where }
      g.output('again', attention(operands, { scale: 0.1, dtype: shape.y }))
    },
  }
}

/** Far positions: a whole context, a window at its end, a short request beside it. */
const far: Shape = {
  name: 'position 100000',
  q: 'f32',
  kv: 'f16',
  y: 'f32',
  H: 2,
  Hkv: 1,
  C: 8,
  page: 32,
  requests: [[100_003], [5]],
}
export const farCases: readonly KernelCase[] = [
  attentionCase(far, 2, 'split', [attentionSplitKernel]),
  ropeCase({ ...far, name: 'position 131071, f8', kv: 'f8_e4m3', requests: [[131_071]] }),
  ropeCase({ ...far, name: 'position 131071, window', window: 5000, requests: [[131_071]] }),
]

const unsplit = (kernel: KernelSpec): KernelSpec => ({
  ...kernel,
  space: (target, site) => ({ ...kernel.space(target, site), P_SPLITS: [1] }),
})
/** Caches of 8 bits, on each kernel. */
const narrow = (['q8_0', 'f8_e4m3'] as const).flatMap((kv) => {
  const shape: Shape = { name: kv, q: 'f32', kv, y: 'f32', H: 4, Hkv: 2, C: 96, page: 16, requests: [[150], [9]] }
  const T = shape.requests.length
  return [
    attentionCase(shape, T, 'split', [attentionSplitKernel]),
    attentionCase({ ...shape, C: 64, requests: [range(30, 45)] }, 'T', 'prefill', [attentionPrefillKernel]),
    ropeCase({ ...shape, C: 64 }, { merged: true }),
    ropeCase({ ...shape, C: 64 }, { norms: ['f32', 'bf16'] }),
    ropeCase({ ...shape, q: 'bf16', y: 'bf16' }, { dims: 32, style: 'interleaved' }),
  ]
})

const served = (kernel: KernelSpec): KernelSpec => ({ ...kernel, serves: () => true })

/** Rows of a batch that stand for no request. */
export const idleCases: readonly KernelCase[] = [
  ropeCase(shapes[1]!),
  attentionCase(shapes[1]!, 2, 'split', [attentionSplitKernel]),
].map((one) => ({ ...one, values: { ...one.values, positions: [150, -1], seq: [0, -1] } }))

export const attentionCases: readonly KernelCase[] = [
  ...shapes.map((shape) => attentionCase(shape, shape.requests.length, 'decode', [served(attentionDecodeKernel)])),
  ...shapes.map((shape) => attentionCase(shape, shape.requests.length, 'split', [attentionSplitKernel])),
  ...shapes.slice(1, 4).map(twice),
  ...[1, 7, 16].map((group) => attentionCase(grouped(group), 2, 'split', [inBlocks(3, attentionSplitKernel)])),
  ...shapes.map((shape, i) => ropeCase(shape, { merged: i % 2 === 1 })),
  ropeCase(shapes[3]!, { dims: 40, style: 'interleaved', factors: true, grid: 5 }),
  ropeCase(shapes[2]!, { dims: 16, factors: true, merged: true, grid: 1, magnitude: 1.25 }),
  ropeCase({
    ...shapes[1]!,
    name: 'tokens of one request',
    requests: [
      [150, 151, 152],
      [7, 9, 63],
    ],
  }),
  ropeCase(shapes[4]!, { merged: true, norms: ['f32', 'f32'] }),
  ropeCase(shapes[2]!, { dims: 16, norms: ['bf16', 'f16'], grid: 3 }),
  ropeCase(shapes[7]!, { dims: 6, style: 'interleaved', norms: [undefined, 'f32'] }),
  ropeCase({ ...shapes[6]!, requests: [[70, 71, 72]] }, { norms: ['f32'] }),
  ropeCase({ ...shapes[1]!, name: 'not split' }, { kernel: unsplit(ropeAttentionKernel) }),
  ...narrow,
  ...prompts.map((shape) => attentionCase(shape, 'T', 'prefill', [attentionPrefillKernel])),
]

/** What attention_prefill_matrix takes: 16-bit caches and activations, any unit. */
const prompt16: Shape = {
  name: 'three requests, groups of 4, C 64',
  q: 'f16',
  kv: 'f16',
  y: 'f16',
  H: 8,
  Hkv: 2,
  C: 64,
  page: 16,
  requests: [range(60, 90), range(0, 5), range(200, 203)],
}
export const prefillMatrixCases: readonly KernelCase[] = [
  prompt16,
  { ...prompt16, name: 'bf16, C 128', q: 'bf16', kv: 'bf16', y: 'bf16', C: 128, requests: [range(0, 70)] } as const,
  { ...prompt16, name: 'window, groups of 3, C 80', H: 6, C: 80, page: 8, window: 37, requests: [range(90, 130)] },
  { ...prompt16, name: 'q bf16, kv f16, groups of 12, C 96', q: 'bf16', y: 'bf16', H: 12, Hkv: 1, C: 96 } as const,
  { ...prompt16, name: 'one head, C 8', H: 1, Hkv: 1, C: 8, page: 5, requests: [range(0, 131)] },
].map((shape) => attentionCase(shape, 'T', 'prefill', [attentionPrefillMatrixKernel, attentionPrefillKernel]))

/** On matrix instructions, as a target with those of 16 × 8 × 16 has it: waves of 32, up to 8 heads each. */
const onMatrix = (kernel: KernelSpec, P_BLOCK: number): KernelSpec => ({
  ...kernel,
  valid: () => true,
  space: (target, site) => {
    const group = site.types.q!.shape[1] as number
    const heads = group / (site.types.k_cache!.shape[1] as number)
    const P_HEADS = Math.ceil(heads / Math.ceil(heads / 8))
    return {
      ...kernel.space(target, site),
      P_MATRIX: [1],
      P_BLOCK: [P_BLOCK],
      P_HEADS: [P_HEADS],
      P_AHEAD: [site.types.k_cache!.shape[3] === 128 ? 0 : 1],
    }
  },
})
const halved = shapes.filter(({ kv, C }) => (kv === 'f16' || kv === 'bf16') && C % 8 === 0)
/** For waves of 32. */
export const matrixCases: readonly KernelCase[] = [
  ...halved.map((shape, i) =>
    attentionCase(shape, shape.requests.length, 'matrix', [onMatrix(attentionSplitKernel, 64 << (i % 3))]),
  ),
  ...[1, 5, 16].map((group) =>
    attentionCase(grouped(group), 2, 'matrix', [inBlocks(3, onMatrix(attentionSplitKernel, 64))]),
  ),
  attentionCase({ ...grouped(4), kv: 'bf16', name: 'groups of 4, bf16' }, 2, 'matrix', [
    onMatrix(attentionSplitKernel, 128),
  ]),
  ...halved.map((shape, i) =>
    ropeCase(shape, { merged: i % 2 === 1, kernel: onMatrix(ropeAttentionKernel, 128 >> (i % 3)) }),
  ),
  ropeCase(
    {
      ...shapes[1]!,
      name: 'tokens of one request',
      requests: [
        [150, 151, 152],
        [7, 9, 63],
      ],
    },
    { kernel: onMatrix(ropeAttentionKernel, 128) },
  ),
  attentionCase(
    {
      ...prompts[4]!,
      name: 'infinite values, window',
      requests: [[9], [60], [80]],
      infinite: [
        [1, 33],
        [2, 67],
      ],
    },
    3,
    'matrix',
    [onMatrix(attentionSplitKernel, 64)],
  ),
  ...[3e5, 1e-30].map((scale) => {
    const name = `queries of ${scale}`
    const one = attentionCase({ ...shapes[1]!, name }, 2, 'matrix', [onMatrix(attentionSplitKernel, 64)])
    return { ...one, values: { ...one.values, q: noise(1, 2 * 4 * 64, scale) } }
  }),
]

const products = (name: string, k: FloatType, p: FloatType, groups: number, C: number): readonly KernelCase[] => {
  const [T, R, L, Hkv] = [5, 2, 70, 2]
  const H = Hkv * groups
  const shared = (x: ReturnType<typeof repeatKv>) => (groups > 1 ? repeatKv({ x }, { groups }) : x)
  const seq = [0, 0, 1, 1, 1]
  return [
    {
      name: `qk_matmul ${name}`,
      graph: (g) =>
        g.output(
          'y',
          qkMatmul({
            q: g.input('q', tensor(p, ['T', H, C])),
            k: shared(g.input('k', tensor(k, ['R', 'L', Hkv, C]))),
            seq: g.input('seq', tensor('i32', ['T'])),
          }),
        ),
      values: { q: noise(4, T * H * C), k: noise(5, R * L * Hkv * C), seq },
      bindings: { T, R, L },
    },
    {
      name: `pv_matmul ${name}`,
      graph: (g) =>
        g.output(
          'y',
          pvMatmul(
            {
              p: g.input('p', tensor(p, ['T', H, 'L'])),
              v: shared(g.input('v', tensor(k, ['R', 'L', Hkv, C]))),
              seq: g.input('seq', tensor('i32', ['T'])),
            },
            { dtype: p },
          ),
        ),
      values: {
        p: noise(6, T * H * L).map((v, i) => (i % L > 50 ? 0 : Math.abs(v))),
        v: noise(7, R * L * Hkv * C).map((v, i) => (Math.floor(i / (Hkv * C)) % L === 60 ? Number.NaN : v)),
        seq,
      },
      bindings: { T, R, L },
    },
  ]
}

export const productCases: readonly KernelCase[] = [
  ...products('f32, groups of 3', 'f32', 'f32', 3, 32),
  ...products('f16', 'f16', 'bf16', 1, 64),
  ...products('odd', 'f32', 'f16', 2, 7),
]
