// gemv_stream and gemv_matrix against the reference: every format of weights and number of tokens, with every epilogue and with a norm, in
// layouts and grids that no model would get: one block, fewer blocks than columns, spare waves, rows that end within a unit.
import type { KernelSpec, Params } from '../../../codegen/kernel.ts'
import { gemvStream, normedGemvStream } from '../../../codegen/kernels/matmul/gemv.ts'
import { gemvMatrix, normedGemvMatrix } from '../../../codegen/kernels/matmul/gemv-matrix.ts'
import { families, normedFamilies } from '../../../codegen/kernels/matmul/operands.ts'
import type { GraphBuilder } from '../../../ir/builder.ts'
import { matmul, matmulAdd, matmulSwiglu, rmsNormMatmul, rmsNormMatmulSwiglu } from '../../../ir/ops/index.ts'
import { type QuantType, quantFormats } from '../../../ir/quant.ts'
import { encodeValues } from '../../../ir/tensor-bytes.ts'
import { type Dtype, type FloatType, isQuant, tensor } from '../../../ir/type.ts'
import { quantize } from '../../quantize.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

type Form = 'plain' | 'bias' | 'add' | 'swiglu' | 'norm' | 'norm and bias' | 'norm and swiglu'

interface Gemv {
  readonly form: Form
  readonly w: Dtype
  readonly x: FloatType
  readonly T: number
  readonly K: number
  readonly N: number
  readonly grid: number
  readonly params?: Partial<Params>
  /** changes x[i] */
  readonly changeX?: (v: number, i: number) => number
  /** gemv_matrix, with its instruction emulated */
  readonly matrix?: boolean
}

function specOf(form: Form, matrix: boolean): KernelSpec {
  const normed = form.startsWith('norm')
  const family = normed
    ? normedFamilies[form.endsWith('swiglu') ? 1 : 0]!
    : families[form === 'swiglu' ? 2 : form === 'add' ? 1 : 0]!
  if (matrix) return normed ? normedGemvMatrix(family) : gemvMatrix(family)
  return normed ? normedGemvStream(family) : gemvStream(family)
}

/** The spec with one choice of parameters and a grid of its own. */
function fixedTo(spec: KernelSpec, params: Partial<Params>, grid: number): KernelSpec {
  const [stage] = spec.stages
  return {
    ...spec,
    space: (target, site) => ({
      ...spec.space(target, site),
      ...Object.fromEntries(Object.entries(params).map(([name, value]) => [name, [value!]])),
    }),
    serves: () => true, // where the target has no matrix instruction too
    valid: () => true, // registers are no concern here
    stages: [{ ...stage!, launch: (...args) => ({ ...stage!.launch(...args), grid }) }],
  }
}

function gemvCase(
  { form, w, x, T, K, N, grid, params = {}, changeX = (v) => v, matrix = false }: Gemv,
  i: number,
): KernelCase {
  const rows = form.endsWith('swiglu') ? 2 * N : N
  const values = noise(10 * i, rows * K)
  const weight = { bytes: isQuant(w) ? quantize(w, values) : encodeValues(w, values) }
  const choice = Object.entries({ ...params }).map(([name, value]) => `${name.slice(2).toLowerCase()} ${value}`)
  return {
    name: [`${matrix ? 'matrix ' : ''}${form} ${x}[${T}, ${K}] · ${w}[${N}]`, `grid ${grid}`, ...choice].join(', '),
    specs: [fixedTo(specOf(form, matrix), params, grid)],
    values: {
      x: noise(10 * i + 1, T * K).map(changeX),
      w: weight,
      ...(form.includes('norm') ? { norm: noise(10 * i + 2, K) } : {}),
      ...(form.includes('bias') ? { bias: noise(10 * i + 3, N) } : {}),
      ...(form === 'add' ? { residual: noise(10 * i + 4, T * N) } : {}),
    },
    graph(g: GraphBuilder) {
      const operands = { x: g.input('x', tensor(x, [T, K])), w: g.weight('w', w, [rows, K]) }
      const norm = () => g.weight('norm', 'f32', [K])
      const bias = form.includes('bias') ? { bias: g.weight('bias', 'f32', [N]) } : {}
      const eps = 1e-5
      if (form === 'swiglu') g.output('y', matmulSwiglu(operands))
      else if (form === 'add')
        g.output('y', matmulAdd({ ...operands, residual: g.input('residual', tensor(x, [T, N])) }))
      else if (form === 'norm and swiglu') g.output('y', rmsNormMatmulSwiglu({ ...operands, norm: norm() }, { eps }))
      else if (form.startsWith('norm'))
        g.output('y', rmsNormMatmul({ ...operands, norm: norm(), ...bias }, { eps, dtype: 'f32' }))
      else g.output('y', matmul({ ...operands, ...bias }, { dtype: 'f32' }))
    },
  }
}

const formats: readonly Dtype[] = ['f32', 'f16', 'bf16', ...(Object.keys(quantFormats) as QuantType[])]
const forms: readonly Form[] = ['norm', 'swiglu', 'add', 'bias', 'norm and swiglu', 'plain', 'norm and bias']
const types: readonly FloatType[] = ['f32', 'bf16', 'f16']
const small = { P_BLOCK: 128, P_BLOCKS_PER_CU: 1, P_ROWS: 2, P_DEPTH: 2, P_TURNS: 1, P_CHUNKS: 1 }

/** Every format with every number of tokens; forms, types and layouts go round with them. */
const everyFormat = formats.flatMap((w, f) =>
  [1, 2, 3, 8].map((T, t): Gemv => {
    const K = isQuant(w) ? (quantFormats[w as QuantType].block === 256 ? 768 : 416) : [37, 256, 130, 520][t]!
    return {
      form: forms[(f + 2 * t) % forms.length]!,
      w,
      x: types[(f + t) % 3]!,
      T,
      K,
      N: [19, 35, 7, 22][(f + t) % 4]!,
      grid: [1, 3, 7][(f + t) % 3]!,
      params: {
        ...small,
        P_HELD: (f + t) % 2 ? 1 : 0,
        ...(!isQuant(w) && (K % 8 || w === 'f32') ? { P_CHUNKS: 2 } : {}),
      },
    }
  }),
)

/** Layouts one by one. */
const layouts: readonly Gemv[] = [
  { form: 'norm and swiglu', w: 'bf16', x: 'bf16', T: 1, K: 1024, N: 50, grid: 3, params: { ...small, P_ROWS: 4 } },
  { form: 'norm', w: 'f16', x: 'f32', T: 1, K: 1792, N: 90, grid: 1, params: { ...small, P_BLOCK: 512, P_DEPTH: 4 } },
  { form: 'add', w: 'bf16', x: 'f32', T: 1, K: 840, N: 41, grid: 2, params: { ...small, P_CHUNKS: 3, P_ROWS: 1 } },
  { form: 'bias', w: 'q4_0', x: 'f32', T: 1, K: 2080, N: 9, grid: 40, params: { ...small, P_DEPTH: 1, P_CHUNKS: 3 } },
  { form: 'norm', w: 'q4_k', x: 'f32', T: 1, K: 4352, N: 21, grid: 2, params: { ...small, P_BLOCK: 512, P_DEPTH: 4 } },
  { form: 'plain', w: 'f16', x: 'f16', T: 5, K: 8, N: 1, grid: 5, params: small },
]

/** x in fixed point: spans of zeros, of very small and of very large numbers; and one NaN, in the first of two tokens. */
const spans = [0, 1e-38, 1e-12, 1, 1e4]
const sizes = { form: 'plain', x: 'f32', N: 11, grid: 2 } as const
export const oneNaN: KernelCase = gemvCase(
  { ...sizes, w: 'q8_0', T: 2, K: 416, params: small, changeX: (v, i) => (i === 77 ? Number.NaN : v) },
  200,
)
const fixedPoint: readonly Gemv[] = (['q8_0', 'q5_1', 'q4_k', 'q6_k'] as const).map((w) => ({
  ...sizes,
  w,
  T: 1,
  K: 1280,
  params: { ...small, P_BLOCK: 256, P_CHUNKS: 2 },
  changeX: (v, i) => v * spans[Math.floor(i / 128) % spans.length]!,
}))

export const gemvCases: readonly KernelCase[] = [...everyFormat, ...layouts, ...fixedPoint].map(gemvCase)

/** Those of larger waves: each format once, and all layouts. */
export const someGemvCases: readonly KernelCase[] = gemvCases.filter(
  (_, i) => i >= everyFormat.length || i % 4 === (i >> 2) % 4,
)

const steps = { P_BLOCK: 64, P_BLOCKS_PER_CU: 1, P_SEGMENTS: 2, P_SLICES: 1, P_PASSES: 1, P_DEPTH: 2, P_TILE: 1 }
const wide = { ...steps, P_BLOCK: 128 }
const onMatrix: readonly Gemv[] = [
  { form: 'plain', w: 'f16', x: 'f16', T: 3, K: 96, N: 37, grid: 2, params: steps },
  { form: 'bias', w: 'bf16', x: 'bf16', T: 8, K: 480, N: 50, grid: 1, params: { ...steps, P_PASSES: 4 } },
  { form: 'norm', w: 'bf16', x: 'bf16', T: 5, K: 480, N: 33, grid: 3, params: { ...steps, P_TILE: 2 } },
  { form: 'norm and swiglu', w: 'bf16', x: 'bf16', T: 8, K: 256, N: 21, grid: 2, params: { ...wide, P_BLOCK: 192 } },
  { form: 'swiglu', w: 'f16', x: 'f16', T: 16, K: 128, N: 9, grid: 20, params: { ...wide, P_SEGMENTS: 1 } },
  { form: 'add', w: 'bf16', x: 'f32', T: 2, K: 320, N: 19, grid: 1, params: { ...steps, P_DEPTH: 8 } },
  { form: 'norm', w: 'bf16', x: 'f32', T: 8, K: 352, N: 70, grid: 2, params: { ...wide, P_SEGMENTS: 3, P_PASSES: 2 } },
  { form: 'norm and swiglu', w: 'bf16', x: 'bf16', T: 32, K: 192, N: 40, grid: 1, params: { ...wide, P_PASSES: 3 } },
  { form: 'add', w: 'bf16', x: 'bf16', T: 19, K: 128, N: 50, grid: 2, params: { ...wide, P_SEGMENTS: 1, P_TILE: 2 } },
  { form: 'add', w: 'bf16', x: 'bf16', T: 8, K: 192, N: 44, grid: 5, params: { ...steps, P_SLICES: 2 } },
  { form: 'swiglu', w: 'bf16', x: 'f32', T: 9, K: 256, N: 13, grid: 1, params: { ...steps, P_SLICES: 4 } },
].map((one) => ({ ...one, matrix: true }) as Gemv)

export const matrixCases: readonly KernelCase[] = onMatrix.map((one, i) => gemvCase(one, 100 + i))

/** As a device chooses to run them: too much for emulated threads. */
export const largeMatrixCases: readonly KernelCase[] = (
  [
    { form: 'norm', w: 'bf16', x: 'bf16', T: 8, K: 4096, N: 300, grid: 132 },
    { form: 'norm and swiglu', w: 'bf16', x: 'bf16', T: 16, K: 4096, N: 264, grid: 132 },
    { form: 'norm', w: 'bf16', x: 'f32', T: 8, K: 1024, N: 700, grid: 100 },
    { form: 'add', w: 'bf16', x: 'bf16', T: 32, K: 3584, N: 1200, grid: 132 },
    { form: 'swiglu', w: 'bf16', x: 'bf16', T: 32, K: 4096, N: 500, grid: 66 },
    { form: 'add', w: 'bf16', x: 'bf16', T: 8, K: 14336, N: 272, grid: 132 },
    { form: 'plain', w: 'bf16', x: 'f32', T: 32, K: 2048, N: 300, grid: 131 },
  ] satisfies Gemv[]
).map((one, i) => gemvCase({ ...one, matrix: true }, 200 + i))
