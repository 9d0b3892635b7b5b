import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { checkSanitized, emulatedUnits, KernelBench, testKernels } from '../kernel-harness.ts'
import {
  attentionCases,
  farCases,
  idleCases,
  matrixCases,
  prefillMatrixCases,
  productCases,
} from './attention-cases.ts'

testKernels('attention', attentionCases, {
  shippedEach: 3,
  sanitized: ['decode groups of 8, C 80, window', 'split groups of 2, C 64, f16', 'prefill three requests'],
})
testKernels('attention products', productCases, { sanitized: ['qk_matmul odd', 'pv_matmul odd'] })

describe('long contexts and idle rows', async () => {
  const host = await KernelBench.host('host', 'quick')
  const emulated = await KernelBench.host('host-wave32')
  afterAll(() => {
    for (const bench of [host, emulated]) bench[Symbol.dispose]()
  })
  test.each(farCases.map((one) => [one.name, one] as const))('%s', async (_, one) => {
    await host.compile([one])
    host.check(one)
  })
  test.each(idleCases.map((one) => [one.name, one] as const))(
    '%s: a row without a request is 0, others as ever',
    async (_, one) => {
      await emulated.compile([one])
      const { y } = emulated.run(one).outputs
      const half = y!.data.length / 2
      expect(y!.data.slice(half).every((v) => v === 0)).toBe(true)
      const alone = { ...one, values: { ...one.values, positions: [150, 9], seq: [0, 1] } }
      expect(y!.data.slice(0, half)).toEqual(emulated.run(alone).outputs.y!.data.slice(0, half))
    },
  )
})

describe('attention on matrix instructions', () => {
  let bench: KernelBench
  beforeAll(async () => {
    bench = await KernelBench.host('host-wave32')
    await bench.compile(matrixCases)
    return () => bench[Symbol.dispose]()
  })
  test.each(matrixCases.map((one) => [one.name, one] as const))('%s', (_, one) => {
    bench.check(one)
  })
  test('sanitized', () => checkSanitized(matrixCases[2]!))
})

describe.each(emulatedUnits)('prompts on matrix units, %s', (unit) => {
  const at = emulatedUnits.indexOf(unit)
  const some = [0, 1].map((i) => prefillMatrixCases[(at + i) % prefillMatrixCases.length]!) // each case on two units
  let bench: KernelBench
  beforeAll(async () => {
    bench = await KernelBench.host(unit)
    await bench.compile(some)
    return () => bench[Symbol.dispose]()
  })
  test.each(some.map((one) => [one.name, one] as const))('%s', (_, one) => {
    bench.check(one)
  })
})
