// Every kernel of the matmul family against the reference executor: in the host's fast mode, and as a GPU's blocks and
// waves in emulation.
import { beforeAll, describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../../ir/builder.ts'
import { matmul } from '../../../ir/ops/index.ts'
import { tensor } from '../../../ir/type.ts'
import { compileGraph } from '../../../src/api/compile-graph.ts'
import { shippedCompiler, testCompiler } from '../../test-compiler.ts'
import { emulatedUnits } from '../kernel-harness.ts'
import { checkCases, epilogues, formats, onMatrixUnits } from './matmul-cases.ts'

shippedCompiler()

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
  test('infinities and NaN reach y', async () => {
    const graph = new GraphBuilder('special')
    const operands = { x: graph.input('x', tensor('f32', ['T', 64])), w: graph.weight('w', 'f32', [3, 64]) }
    graph.output('y', matmul(operands))
    const w = Float32Array.from({ length: 3 * 64 }, (_, i) => (i === 70 ? Number.POSITIVE_INFINITY : 1))
    await using compiled = await compileGraph(graph.build(), { device: 'host', weights: { w }, limits: { T: 32 } })
    for (const T of [1, 20]) {
      const x = new Float32Array(T * 64).fill(1)
      x[3] = Number.NaN
      const { y } = await compiled.run({ x })
      expect([...y!.data.slice(0, 3)]).toEqual([Number.NaN, Number.NaN, Number.NaN])
      if (T > 1) expect([...y!.data.slice(3, 6)]).toEqual([64, Number.POSITIVE_INFINITY, 64])
    }
  })
  test('long rows and large magnitudes stay within a sum’s rounding', () =>
    checkCases('host', [{ op: 'matmul', w: 'f32', x: 'f32', K: 5000, N: 9 }], 'T', [1, 2], 1e15))
})

/** Small cases in emulation: their code is compiled for much longer than it runs. */
const withoutOptimising = () => beforeAll(() => void Object.assign(process.env, testCompiler('plain')))

describe.each([32, 64])('waves of %i, emulated', (wave) => {
  withoutOptimising()
  const device = `host-wave${wave}`
  const some = wave === 32 ? formats : formats.filter((_, i) => i % 3 === 1)
  test('gemv', () => checkCases(device, [...some, ...epilogues], 1, [1]))
  test('gemv of long rows, in larger chunks', () =>
    checkCases(
      device,
      [
        { op: 'matmul', w: 'q6_k', x: 'f16', K: 2304, N: 11 },
        { op: 'matmul_swiglu', w: 'q5_0', x: 'bf16', K: 1056, N: 6 },
      ],
      1,
      [1],
    ))
  test('gemv of three tokens', () => checkCases(device, epilogues, 3, [3]))
  test('gemm', () => checkCases(device, [...some, ...epilogues], 'T', [1, 70]))
})

describe.each(emulatedUnits)('matrix unit, %s', (unit) => {
  withoutOptimising()
  test('gemm_matrix', async () => {
    // every case on three of the five units
    const some = onMatrixUnits.filter((_, i) => (i + 2 * emulatedUnits.indexOf(unit)) % 5 < 3)
    const kernels = await checkCases(unit, some, 'T', [1, 70])
    expect(kernels.length).toBe(some.length)
    expect(kernels.filter((name) => !/^gemm_matrix(_add|_swiglu)?$/.test(name))).toEqual([])
  })
})
