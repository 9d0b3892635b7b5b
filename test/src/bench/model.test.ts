// What a benchmark is made of, without running one: shapes, random models, cases that fit, profiles, statistics.
import { describe, expect, test } from 'vitest'
import { hostTarget } from '../../../codegen/targets.ts'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { ModelPlan } from '../../../src/api/plan.ts'
import { flopsOf, kvBytesPerToken, weightBytesRead } from '../../../src/bench/bytes.ts'
import { fitContexts, reserveBytes } from '../../../src/bench/cases.ts'
import { profileOf } from '../../../src/bench/profile.ts'
import { checkWeightType, filledTypes, randomModel, weightTypes } from '../../../src/bench/random-model.ts'
import { barOf } from '../../../src/bench/report.ts'
import { configOf, findShape, shapes } from '../../../src/bench/shapes.ts'
import { median, quantile, spread } from '../../../src/bench/statistics.ts'
import { compileOptions, readOptions } from '../../../src/options.ts'

const diagnostic = (run: () => unknown): Diagnostic => {
  try {
    run()
  } catch (error) {
    return error as Diagnostic
  }
  throw new Error('nothing was thrown')
}

describe('shapes', () => {
  test.each(Object.keys(shapes))('%s is a model that can be lowered', (name) => {
    const model = randomModel(name, 'bf16')
    const plan = new ModelPlan(model, readOptions(compileOptions, { context: 32 }), hostTarget())
    expect(plan.source('decode').order.length).toBeGreaterThan(20)
  })

  test('sizes are those of the models', () => {
    const billions = (name: string) => {
      let count = 0
      for (const { shape } of randomModel(name, 'f32').weights) count += shape.reduce((a, b) => a * b, 1)
      return (count / 1e9).toFixed(2)
    }
    expect(Object.fromEntries(Object.keys(shapes).map((name) => [name, billions(name)]))).toMatchInlineSnapshot(`
      {
        "llama-13b": "13.02",
        "llama-1b": "1.24",
        "llama-3b": "3.21",
        "llama-70b": "70.55",
        "llama-8b": "8.03",
        "mistral-7b": "7.25",
        "qwen2.5-7b": "7.62",
        "qwen3-0.6b": "0.60",
        "qwen3-4b": "4.02",
        "qwen3-8b": "8.19",
        "story-15m": "0.02",
        "story-3m": "0.00",
        "tiny": "0.00",
      }
    `)
  })

  test('an unknown one names its nearest', () => {
    expect(diagnostic(() => findShape('llama-9b')).message).toContain('llama-8b')
    expect(diagnostic(() => checkWeightType('q3_k')).message).toContain('q4_k')
    expect(configOf('qwen3-0.6b', 'bf16').qkNorm).toBe(true)
  })
})

describe('random weights', () => {
  test.each(weightTypes)('%s', (type) => {
    const model = randomModel('tiny', type)
    const head = model.weights.get('output.weight')!
    const ffn = model.weights.get('blk.0.ffn_down.weight')!
    expect(ffn.dtype).toBe(type)
    expect(head.dtype).toBe(/^q[456]/.test(type) ? 'q6_k' : type)
    expect(filledTypes(model).has(ffn.dtype)).toBe(true)
  })

  test('rows that are no whole number of blocks take a type that fits', () => {
    const { weights } = randomModel('story-3m', 'q4_k') // rows of 192
    expect(weights.get('blk.0.attn_q.weight')!.dtype).toBe('q8_0')
    expect(weights.get('blk.0.ffn_down.weight')!.dtype).toBe('q4_k')
  })

  test('a norm is ones', () => {
    const { weights } = randomModel('tiny', 'bf16')
    const bytes = new Uint8Array(6)
    weights.readSync(weights.get('blk.1.ffn_norm.weight')!, bytes, 2)
    expect([...bytes]).toEqual([0x80, 0x3f, 0x80, 0x3f, 0x80, 0x3f])
  })
})

describe('bytes of a step', () => {
  const plan = new ModelPlan(randomModel('tiny', 'bf16'), readOptions(compileOptions, { context: 64 }), hostTarget())
  const program = plan.program('decode')

  test('weights count once, the table of embeddings not', () => {
    const all = randomModel('tiny', 'bf16').weights
    expect(weightBytesRead(program)).toBe(all.bytes - all.get('token_embd.weight')!.bytes)
  })

  test('keys and values of a token', () => {
    expect(kvBytesPerToken(program, plan.pages, plan.pageSize)).toBe(2 * 2 * 2 * 64 * 4) // k and v, layers, heads, C, f32
  })

  test('arithmetic is two operations a weight, and attention', () => {
    const matrices = [...randomModel('tiny', 'bf16').weights].filter(
      ({ shape, name }) => shape.length === 2 && !/output|embd/.test(name),
    )
    const weights = matrices.reduce((sum, { shape }) => sum + shape[0]! * shape[1]!, 0)
    const flops = flopsOf(plan.program('sample'), 16, 0, plan.pageSize)
    expect(flops).toBeGreaterThan(2 * 16 * weights)
    expect(flops).toBeLessThan(3 * 16 * weights)
  })
})

describe('what fits', () => {
  const gib = 2 ** 30
  const needsAt = (capacity: number) => {
    const states = capacity * 2 ** 20
    return { weights: gib, states, arena: 0, inputsAndOutputs: 0, total: gib + states }
  }

  test('all, in order, once', () => {
    const free = 3 * gib + reserveBytes
    expect(fitContexts(1, [1024, 128, 128], { beyond: 64 }, free, needsAt)).toEqual({
      contexts: [128, 1024],
      capacity: 1088,
      skipped: [],
    })
  })

  test('the largest are left out, and what would fit is said', () => {
    const { contexts, skipped } = fitContexts(8, [128, 4096, 65536], { beyond: 64 }, 3 * gib + reserveBytes, needsAt)
    expect(contexts).toEqual([128])
    expect(skipped).toMatchInlineSnapshot(`
      [
        {
          "batch": 8,
          "context": 4096,
          "reason": "needs 5.1 GiB (8 times 4160 tokens of cache: 4.1 GiB), free are 3.0 GiB; context 1984 would fit",
        },
        {
          "batch": 8,
          "context": 65536,
          "reason": "needs 65.1 GiB (8 times 65600 tokens of cache: 64.1 GiB), free are 3.0 GiB; context 1984 would fit",
        },
      ]
    `)
  })

  test('nothing', () => {
    const { contexts, skipped } = fitContexts(1, [128], { beyond: 64, atLeast: 512 }, gib, needsAt)
    expect(contexts).toEqual([])
    expect(skipped[0]!.reason).toContain('not even the weights fit')
  })
})

test('launches of equal steps are summed by kernel and part', () => {
  const plan = new ModelPlan(randomModel('tiny', 'bf16'), readOptions(compileOptions, { context: 64 }), hostTarget())
  const program = plan.program('decode')
  const step = program.calls.map(({ entry }) => ({ kernel: entry, blocks: 4, threads: 1, ms: 0.5 }))
  const profile = profileOf([...step, ...step], 2, program, { T: 1, R: 1, L: 8 }, step.length / 2 + 1)!
  expect(profile.kernelsMs).toBeCloseTo(step.length / 2)
  expect(profile.gapsMs).toBeCloseTo(1)
  expect(profile.kernels.reduce((sum, { launches }) => sum + launches, 0)).toBe(step.length)
  expect(profile.kernels.some(({ part, launches }) => part.includes('ffn') && launches === 2)).toBe(true) // two layers
  expect(profileOf([...step, ...step].slice(1), 2, program, {}, 1)).toBeNull()
})

test('statistics', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([4, 1, 2, 3])).toBe(2.5)
  expect(quantile([...Array(100).keys()], 0.99)).toBe(98)
  expect(quantile([5], 0.99)).toBe(5)
  expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 })
  expect(barOf(1)).toHaveLength(24)
  expect(barOf(0)).toBe('')
})
