// Every kernel of the matmul family against the reference executor: in the host's fast mode, and as a GPU's blocks and
// waves in emulation.
import { describe, expect, test } from 'vitest'
import { checkCases, epilogues, formats } from './matmul-cases.ts'

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
