// Every kernel of the matmul family against the reference executor: in the host's fast mode, and as a GPU's blocks and
// waves in emulation.
import { describe, expect, test } from 'vitest'
import { quantFormats } from '../../../ir/quant.ts'
import type { Dtype } from '../../../ir/type.ts'
import { type Case, checkCases } from './matmul-cases.ts'

const quantised = Object.keys(quantFormats) as Dtype[]
/** every format of weights, with types of activations, tails and epilogues spread over them */
const formats: Case[] = [
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
const epilogues: Case[] = [
  { op: 'matmul_bias', w: 'q8_0', x: 'f32', K: 64, N: 35 },
  { op: 'matmul_add', w: 'f16', x: 'f16', y: 'f32', K: 64, N: 40 },
  { op: 'matmul_swiglu', w: 'bf16', x: 'bf16', K: 72, N: 50 },
  { op: 'matmul_swiglu', w: 'q4_0', x: 'f16', K: 96, N: 3 },
  { op: 'matmul', w: 'f16', x: 'bf16', y: 'f16', K: 1, N: 1 },
]

describe('host, fast', () => {
  test('few tokens: gemv for all weight formats', async () => {
    const kernels = await checkCases('host', [...formats, ...epilogues], 1, [1])
    expect(new Set(kernels)).toEqual(new Set(['gemv', 'gemv_add', 'gemv_swiglu']))
  })
  test('six tokens share the weights', () => checkCases('host', epilogues, 6, [6]))
  test('any number of tokens: gemm_panel for all weight formats', async () => {
    const kernels = await checkCases('host', [...formats, ...epilogues], 'T', [1, 3, 17, 150, 0])
    expect(new Set(kernels)).toEqual(new Set(['gemm_panel', 'gemm_panel_add', 'gemm_panel_swiglu']))
  })
  test('long rows and large magnitudes stay within a sum’s rounding', () =>
    checkCases('host', [{ op: 'matmul', w: 'f32', x: 'f32', K: 5000, N: 9 }], 'T', [1, 2], 1e15))
})

describe.each([32, 64])('waves of %i, emulated', (wave) => {
  const device = `host-wave${wave}`
  const some = wave === 32 ? formats : formats.filter((_, i) => i % 3 === 1)
  test('gemv', () => checkCases(device, [...some, ...epilogues], 1, [1]))
  test('gemv of three tokens', () => checkCases(device, epilogues, 3, [3]))
  test('gemm', () => checkCases(device, [...some, ...epilogues], 'T', [1, 70]))
})
