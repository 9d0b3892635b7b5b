// Every shape that a front end may meet, with random weights: the device against the reference executor on the graph as
// the front end wrote it, for prompts in chunks and for decode steps, unfused and fused.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { HfConfig } from '../gguf-writer.ts'
import type { RandomHfOptions } from '../hf-writer.ts'
import { randomHf } from '../models.ts'
import { distance, openSteps, runSteps } from './steps.ts'

interface Case {
  readonly name: string
  readonly config: Partial<HfConfig>
  readonly options?: RandomHfOptions
  readonly levels?: readonly (0 | 1 | 2 | 3)[]
  /** tokens of the prompt and decoded behind it */
  readonly prompt?: number
}

/** H query heads, Hkv key/value heads, C channels a head */
const heads = (H: number, Hkv: number, C: number) => ({
  num_attention_heads: H,
  num_key_value_heads: Hkv,
  head_dim: C,
  hidden_size: 64,
})
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
}

const cases: readonly Case[] = [
  {
    name: 'llama, MHA, C 32, untied, odd vocabulary',
    config: { ...heads(2, 2, 32), vocab_size: 1031, tie_word_embeddings: false },
    levels: [0, 1, 2, 3],
  },
  { name: 'llama, groups of 4, C 64, f16', config: heads(4, 1, 64), options: { dtype: 'F16' }, levels: [0, 3] },
  { name: 'llama, groups of 8, C 128, bf16', config: heads(8, 1, 128), options: { dtype: 'BF16' } },
  { name: 'llama, groups of 4, C 80, llama3 rope scaling', config: { ...heads(8, 2, 80), rope_scaling: llama3 } },
  {
    name: 'llama, linear rope scaling, attention bias, shards',
    config: { ...heads(4, 2, 32), rope_scaling: { rope_type: 'linear', factor: 4 }, attention_bias: true },
    options: { shards: 3 },
  },
  {
    name: 'llama, half of each head rotates',
    config: { ...heads(4, 2, 64), partial_rotary_factor: 0.5 },
  },
  {
    name: 'llama, groups of 3, odd feed-forward',
    config: { ...heads(6, 2, 32), hidden_size: 96, intermediate_size: 147 },
  },
  {
    name: 'mistral, window of 16',
    config: { model_type: 'mistral', ...heads(4, 2, 32), sliding_window: 16 },
    options: { dtype: 'BF16' },
    levels: [0, 3],
  },
  {
    name: 'mistral, window of 5, groups of 8, C 80',
    config: { model_type: 'mistral', ...heads(8, 1, 80), sliding_window: 5 },
  },
  {
    name: 'qwen2, biases, C 64',
    config: { model_type: 'qwen2', ...heads(8, 2, 64), vocab_size: 1031 },
    options: { dtype: 'BF16' },
  },
  {
    name: 'qwen2, untied, C 128, f16',
    config: { model_type: 'qwen2', ...heads(2, 1, 128), tie_word_embeddings: false },
    options: { dtype: 'F16' },
  },
  {
    name: 'qwen3, q and k norms, C 128',
    config: { model_type: 'qwen3', ...heads(4, 2, 128) },
    options: { dtype: 'BF16' },
    levels: [0, 3],
  },
  {
    name: 'qwen3, groups of 8, C 80, window',
    config: {
      model_type: 'qwen3',
      ...heads(8, 1, 80),
      sliding_window: 16,
      use_sliding_window: true,
    },
  },
]

const decoded = 5
const worst: [name: string, distance: number][] = []
afterAll(() => {
  const lines = worst.map(([name, d]) => `  ${d.toExponential(1)}  ${name}`)
  console.log(
    ['logits on the host beside the reference executor, difference over the largest logit:', ...lines].join('\n'),
  )
})

describe.each(cases)('$name', ({ name, config, options = {}, levels = [3], prompt = 37 }) => {
  const folder = randomHf(config, options)
  const tokens = Array.from({ length: prompt + decoded }, (_, i) => (i * 7919 + 3) % 256)
  const compile = { chunk: 16, context: 64, pageSize: 16 } as const
  let exact: Map<number, Float32Array>
  beforeAll(async () => {
    await using steps = await openSteps(folder, { ...compile, device: 'reference', optLevel: 0 })
    exact = await runSteps(steps, tokens, prompt)
  })
  test.each(levels)('-O%i', async (optLevel) => {
    await using steps = await openSteps(folder, { ...compile, device: 'host', optLevel })
    const got = await runSteps(steps, tokens, prompt)
    expect([...got.keys()]).toEqual([...exact.keys()])
    const off = Math.max(...[...got].map(([at, logits]) => distance(logits, exact.get(at)!)))
    worst.push([`${name} -O${optLevel}`, off])
    expect(off).toBeLessThan(2e-5)
  })
})
