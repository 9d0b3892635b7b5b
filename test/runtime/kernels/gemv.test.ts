import { beforeAll, describe, expect, test } from 'vitest'
import { checkSanitized, KernelBench } from '../kernel-harness.ts'
import { gemvCases, matrixCases, oneNaN, someGemvCases } from './gemv-cases.ts'

describe.each([
  ['host-wave32', [...gemvCases, ...matrixCases]],
  ['host-wave64', someGemvCases],
] as const)('gemv, %s', (mode, cases) => {
  let bench: KernelBench
  beforeAll(async () => {
    bench = await KernelBench.host(mode)
    await bench.compile([...cases, oneNaN])
    return () => bench[Symbol.dispose]()
  }, 120_000)
  test.each(cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
    bench.check(one)
  })
  test('NaN stays in its token', () => {
    const { y } = bench.run(oneNaN).outputs
    const of = (token: number) => Array.from(y!.data as Float32Array).slice(token * 11, token * 11 + 11)
    expect(of(0)).toEqual(Array(11).fill(Number.NaN))
    expect(of(1).every(Number.isFinite)).toBe(true)
  })
  test('sums do not depend on the grid', () => {
    const [one, other] = [cases[2]!, { ...cases[2]!, specs: cases[2]!.specs!.map(onOneBlock) }]
    expect(bench.run(other).outputs).toEqual(bench.run(one).outputs)
  })
})

const onOneBlock = (spec: NonNullable<(typeof gemvCases)[number]['specs']>[number]) => ({
  ...spec,
  stages: spec.stages.map((stage) => ({
    ...stage,
    launch: (...args: Parameters<typeof stage.launch>) => ({ ...stage.launch(...args), grid: 1 }),
  })),
})

describe('gemv, sanitized', () => {
  const picked = [...gemvCases.filter((_, i) => i % 11 === 3), matrixCases[1]!, matrixCases[3]!]
  test.each(picked.map((one) => [one.name, one] as const))('%s', (_, one) => checkSanitized(one))
})
