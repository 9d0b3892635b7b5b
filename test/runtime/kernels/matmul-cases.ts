// Graphs of the matmul family and seeded values for them, run on a device and on the reference executor.
import { expect } from 'vitest'
import type { Program } from '../../../codegen/program.ts'
import { GraphBuilder } from '../../../ir/builder.ts'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../../ir/half.ts'
import { matmul, matmulAdd, matmulSwiglu, rmsNormMatmul, rmsNormMatmulSwiglu } from '../../../ir/ops/index.ts'
import { quantFormats } from '../../../ir/quant.ts'
import { encodeValues } from '../../../ir/tensor-bytes.ts'
import { type Dim, type Dtype, type FloatType, isQuant, tensor } from '../../../ir/type.ts'
import { compileGraph } from '../../../src/api/compile-graph.ts'
import type { Device } from '../../../src/api/device.ts'
import { quantize } from '../../quantize.ts'

export interface Case {
  readonly op:
    | 'matmul'
    | 'matmul_bias'
    | 'matmul_add'
    | 'matmul_add_bias'
    | 'matmul_swiglu'
    | 'rms_norm_matmul'
    | 'rms_norm_matmul_bias'
    | 'rms_norm_matmul_swiglu'
  readonly w: Dtype
  readonly x: FloatType
  /** of y where the op lets it be chosen, else of the residual */
  readonly y?: FloatType
  readonly K: number
  readonly N: number
}

const quantised = Object.keys(quantFormats) as Dtype[]
/** every format of weights, with types of activations, tails and epilogues spread over them */
export const formats: readonly Case[] = [
  { op: 'matmul', w: 'f32', x: 'f32', K: 37, N: 5 },
  { op: 'matmul_bias', w: 'f16', x: 'f16', K: 129, N: 33 },
  { op: 'matmul_add_bias', w: 'bf16', x: 'bf16', K: 70, N: 19 },
  ...quantised.map((w, i): Case => {
    const { block } = quantFormats[w as keyof typeof quantFormats]
    return {
      op: 'matmul',
      w,
      x: (['f32', 'f16', 'bf16'] as const)[i % 3]!,
      y: 'f32',
      K: block === 32 ? 160 : 512,
      N: 37,
    }
  }),
]
export const epilogues: readonly Case[] = [
  { op: 'matmul_bias', w: 'q8_0', x: 'f32', K: 64, N: 35 },
  { op: 'matmul_add', w: 'f16', x: 'f16', y: 'f32', K: 64, N: 40 },
  { op: 'matmul_swiglu', w: 'bf16', x: 'bf16', K: 72, N: 50 },
  { op: 'matmul_swiglu', w: 'q4_0', x: 'f16', K: 96, N: 3 },
  { op: 'matmul', w: 'f16', x: 'bf16', y: 'f16', K: 1, N: 1 },
]

/** What gemm_matrix takes: every unit's element types, formats, tails of N and K, epilogues. */
export const onMatrixUnits: readonly Case[] = [
  { op: 'matmul', w: 'bf16', x: 'bf16', y: 'f32', K: 136, N: 50 },
  { op: 'matmul_bias', w: 'f16', x: 'f16', K: 64, N: 131 },
  { op: 'matmul_add_bias', w: 'bf16', x: 'bf16', K: 72, N: 24 },
  { op: 'matmul_swiglu', w: 'f16', x: 'f16', K: 128, N: 40 },
  { op: 'matmul', w: 'bf16', x: 'f32', K: 200, N: 37 },
  { op: 'matmul_swiglu', w: 'bf16', x: 'f32', K: 64, N: 19 },
  { op: 'matmul', w: 'q8_0', x: 'f16', K: 160, N: 35 },
  { op: 'matmul_add', w: 'q4_k', x: 'f16', y: 'f16', K: 256, N: 32 },
  { op: 'matmul_swiglu', w: 'q6_k', x: 'f16', K: 256, N: 21 },
]

/** What gemv_stream also takes: a norm of x, and rows that a block's waves share in every way. */
export const normed: readonly Case[] = [
  { op: 'rms_norm_matmul', w: 'f16', x: 'f32', K: 520, N: 37 },
  { op: 'rms_norm_matmul_bias', w: 'bf16', x: 'bf16', y: 'f32', K: 1024, N: 21 },
  { op: 'rms_norm_matmul_swiglu', w: 'q8_0', x: 'f16', K: 544, N: 19 },
  { op: 'rms_norm_matmul_swiglu', w: 'q4_k', x: 'bf16', K: 768, N: 7 },
  { op: 'rms_norm_matmul', w: 'f32', x: 'f32', K: 33, N: 1 },
]

export const nameOf = ({ op, w, x, y = x, K, N }: Case): string => `${op} ${x}·${w}→${y} K=${K} N=${N}`

/** Uniform in ±1, the same for the same seed. */
export function noise(seed: number, n: number): Float32Array {
  let state = (seed * 2654435761 + 1) >>> 0
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  })
}

const rounding: Record<FloatType, (v: number) => number> = {
  f32: Math.fround,
  f16: (v) => f16ToNumber(numberToF16(v)),
  bf16: (v) => bf16ToNumber(numberToBf16(v)),
}
export const rounded = (dtype: FloatType, values: Float32Array): Float32Array => values.map(rounding[dtype])

const epsilon: Record<FloatType, number> = { f32: 2 ** -23, f16: 2 ** -10, bf16: 2 ** -7 }

const eps = 1e-5

/** One graph that holds every case side by side, so that their kernels compile at the same time. */
function graphOf(cases: readonly Case[], T: Dim) {
  const graph = new GraphBuilder('matmuls')
  cases.forEach(({ op, w, x, y = x, K, N }, i) => {
    const operands = {
      x: graph.input(`x${i}`, tensor(x, [T, K])),
      w: graph.weight(`w${i}`, w, [op.endsWith('swiglu') ? 2 * N : N, K]),
    }
    const norm = op.startsWith('rms_norm') ? graph.weight(`n${i}`, 'f32', [K]) : undefined
    const bias = op.endsWith('bias') ? { bias: graph.weight(`b${i}`, 'f32', [N]) } : {}
    if (norm && op.endsWith('swiglu')) graph.output(`y${i}`, rmsNormMatmulSwiglu({ ...operands, norm }, { eps }))
    else if (norm) graph.output(`y${i}`, rmsNormMatmul({ ...operands, norm, ...bias }, { eps, dtype: y }))
    else if (op === 'matmul_swiglu') graph.output(`y${i}`, matmulSwiglu(operands))
    else if (op.startsWith('matmul_add')) {
      const residual = graph.input(`r${i}`, tensor(y, [T, N]))
      graph.output(`y${i}`, matmulAdd({ ...operands, residual, ...bias }))
    } else graph.output(`y${i}`, matmul({ ...operands, ...bias }, { dtype: y }))
  })
  return graph.build()
}

const weightBytes = (dtype: Dtype, values: Float32Array): Uint8Array =>
  isQuant(dtype) ? quantize(dtype, values) : encodeValues(dtype, values)

/** Does case i of the graph go through a matrix unit, where quantised weights are rounded to f16? */
const throughF16 = (program: Program | undefined, i: number): boolean =>
  program?.calls.some(
    ({ kernel, args }) =>
      kernel.startsWith('gemm_matrix') && args.some((arg) => arg.kind === 'buffer' && arg.buffer === `@w${i}`),
  ) ?? false

/**
 * Runs the cases with each number of tokens and holds every element to the reference: within 2·eps·√K of the output's
 * type, relative to the element or to the output's mean magnitude, whichever is larger (a sum may cancel). Quantised weights
 * that a matrix unit multiplies are rounded to f16: there eps is no smaller than f16's.
 * @param T tokens of the graph: a number compiles kernels for just that many
 */
export async function checkCases(
  device: string | Device,
  cases: readonly Case[],
  T: Dim,
  tokens: readonly number[],
  scale = 1,
): Promise<string[]> {
  const weights: Record<string, { bytes: Uint8Array }> = {}
  cases.forEach(({ op, w, K, N }, i) => {
    const rows = op.endsWith('swiglu') ? 2 * N : N
    if (op.startsWith('rms_norm')) weights[`n${i}`] = { bytes: weightBytes('f32', noise(500 + i, K)) }
    weights[`w${i}`] = {
      bytes: weightBytes(
        w,
        noise(100 + i, rows * K).map((v) => v * scale),
      ),
    }
    if (op.endsWith('bias')) weights[`b${i}`] = { bytes: weightBytes('f32', noise(200 + i, N)) }
  })
  const options = { weights, optLevel: 0, limits: { T: Math.max(...tokens, 1) } } as const
  await using ours = await compileGraph(graphOf(cases, T), { ...options, device })
  await using reference = await compileGraph(graphOf(cases, T), { ...options, device: 'reference' })
  for (const count of tokens) {
    const inputs: Record<string, Float32Array> = {}
    cases.forEach(({ op, x, y = x, K, N }, i) => {
      inputs[`x${i}`] = rounded(x, noise(300 + i, count * K))
      if (op.startsWith('matmul_add')) inputs[`r${i}`] = rounded(y, noise(400 + i, count * N))
    })
    const bindings = typeof T === 'string' ? { [T]: count } : {}
    const [got, want] = [await ours.run(inputs, bindings), await reference.run(inputs, bindings)]
    cases.forEach((each, i) => {
      const [a, b] = [got, want].map((run) => run[`y${i}`]!.data as Float32Array) as [Float32Array, Float32Array]
      expect(a.length).toBe(b.length)
      const mean = Math.sqrt(b.reduce((sum, v) => sum + v * v, 0) / b.length)
      const unit = Math.max(epsilon[each.y ?? each.x], throughF16(ours.program, i) && isQuant(each.w) ? epsilon.f16 : 0)
      const allowed = 2 * unit * Math.sqrt(each.K) * (each.op.endsWith('swiglu') ? 2 : 1)
      for (let at = 0; at < b.length; at++) {
        if (Math.abs(a[at]! - b[at]!) <= allowed * Math.max(Math.abs(b[at]!), mean)) continue
        expect.fail(`${nameOf(each)} T=${count}: y[${at}] is ${a[at]}, the reference has ${b[at]}`)
      }
    })
  }
  return ours.program?.calls.map((call) => call.kernel) ?? []
}
