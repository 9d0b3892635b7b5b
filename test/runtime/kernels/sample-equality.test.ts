// The kernels of the sampler draw the very token that the reference draws: every kind of row with every kind of option, rows
// drawn at random, large vocabularies, and any number of blocks. Only where the reference itself stands on the edge of
// top_p, by less than f32 can tell, may they differ.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { KernelSpec } from '../../../codegen/kernel.ts'
import { kernelSpecs } from '../../../codegen/kernels/index.ts'
import fc from '../../fast-check.ts'
import { KernelBench, type KernelCase, noise } from '../kernel-harness.ts'
import { type DrawOptions, drawEach, everyDraw, rowsOf, someOptions } from './sample-cases.ts'

/** How near the sum of probabilities of the likeliest tokens comes to top_p: a share of the whole. */
function edge(row: ArrayLike<number>, { temperature = 1, top_k = 0, top_p = 1 }: DrawOptions): number {
  const falling = Array.from(row, (v) => (Number.isNaN(v) ? Number.NEGATIVE_INFINITY : v)).sort((a, b) => b - a)
  const floor = top_k > 0 && top_k < falling.length ? falling[top_k - 1]! : Number.NEGATIVE_INFINITY
  const weights = falling.filter((v) => v >= floor).map((v) => Math.exp((v - falling[0]!) / temperature))
  const total = weights.reduce((a, b) => a + b, 0)
  let [sum, nearest] = [0, Number.POSITIVE_INFINITY]
  for (const [i, w] of weights.entries()) {
    sum += w
    if (falling[i + 1] !== falling[i]) nearest = Math.min(nearest, Math.abs(sum / total - top_p))
  }
  return nearest
}

/** The spec of `sample` with so many blocks a launch. */
const withGrid = (grid: number): KernelSpec[] =>
  kernelSpecs
    .filter(({ implements: op }) => op === 'sample')
    .map((spec) => ({
      ...spec,
      stages: spec.stages.map((stage) => ({
        ...stage,
        launch: (...given: Parameters<typeof stage.launch>) => ({ ...stage.launch(...given), grid }),
      })),
    }))

const sizes = [1, 2, 700, 5003]
const everyCase = sizes.map((V) => everyDraw(V, V > 1000 ? someOptions(V).slice(5) : someOptions(V)))
const gridCases: KernelCase[] = [1, 3, 5].map((grid) => ({
  ...everyDraw(1800, someOptions(1800).slice(8), { specs: withGrid(grid) }),
  name: `${grid} blocks`,
}))

describe.each([
  ['host', undefined],
  ['host', 'quick'],
  ['host-wave32', undefined],
  ['host-wave64', undefined],
] as const)('%s %s', (mode, compiler) => {
  let bench: KernelBench
  const V = 1800 // as in gridCases: one kernel for both
  const options = fc.record({
    temperature: fc.constantFrom(0.05, 0.5, 1, 4),
    top_k: fc.constantFrom(0, 0, 2, 40, 800),
    top_p: fc.constantFrom(1, 1, 0.3, 0.9, 0.999),
    min_p: fc.constantFrom(0, 0, 0.003, 0.3),
  })
  /** how far logits spread, and in steps of what: ties */
  const row = fc
    .tuple(fc.integer({ min: 1, max: 1e6 }), fc.constantFrom(0.1, 3, 12), fc.constantFrom(0, 0, 0.5, 2))
    .map(([seed, spread, step]) => noise(seed, V, spread).map((v) => (step ? Math.round(v / step) * step : v)))
  const drawn = (pairs: readonly (readonly [Float32Array, DrawOptions])[]) =>
    drawEach(
      'random',
      pairs.map(([values]) => values),
      pairs.map(([, o]) => o),
    )

  const few = mode === 'host-wave64' || (mode === 'host' && !compiler)
  const cases = few ? [everyCase[2]!] : [...everyCase, ...gridCases]
  beforeAll(async () => {
    bench = await KernelBench.host(mode, compiler)
    await bench.compile([...cases, drawn([[new Float32Array(V), {}]])])
  })
  afterAll(() => bench[Symbol.dispose]())

  test.each(cases.map((one) => [one.name, one] as const))('%s', (_, one) => {
    bench.check(one)
  })

  test('rows at random', () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(row, options), { minLength: 1, maxLength: 8 }), (pairs) => {
        const clear = pairs.filter(([values, o]) => o.top_p === 1 || edge(values, o) > 1e-5)
        fc.pre(clear.length > 0)
        bench.check(drawn(clear))
      }),
      { numRuns: mode === 'host' ? 30 : 6 },
    ))
})

test('vocabularies of 32000 and 128256, and one that is no multiple of anything', async () => {
  using shipped = await KernelBench.host('host')
  using quick = await KernelBench.host('host', 'quick')
  const pairs = (V: number): (readonly [Float32Array, DrawOptions])[] => {
    const likely = noise(5, V, 1).map((v) => 14 * v ** 5) // few large ones, as models give them
    const tied = noise(6, V, 9).map(Math.round)
    return [
      ...someOptions(V).map((o) => [likely, o] as const),
      [tied, { top_k: 40 }],
      [rowsOf(V)[0]!, { top_p: 0.95 }], // flat: more is kept than lists hold
      [rowsOf(V)[0]!, { top_k: 20000 }],
      [new Float32Array(V), { top_p: 0.5, top_k: 7 }],
    ]
  }
  const cases = [32000, 128256, 151655].map((V) => {
    const kept = pairs(V).filter(([values, o]) => (o.top_p ?? 1) === 1 || edge(values, o) > 1e-6)
    expect(kept.length).toBeGreaterThan(12)
    return drawEach(
      `V=${V}`,
      kept.map(([values]) => values),
      kept.map(([, o]) => o),
    )
  })
  for (const [i, one] of cases.entries()) {
    const bench = i === 0 ? shipped : quick
    await bench.compile([one])
    bench.check(one)
  }
})
