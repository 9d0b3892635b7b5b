// Scaled rotary embeddings, beyond the context that a model was trained on: a llama written down here in f64, with frequencies
// as the papers and transformers' and llama.cpp's rules give them, against prefill and decode steps of the product.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import { type Field, f32, type HfConfig, readFloats, text, u32, writeGgufFrom } from '../gguf-writer.ts'
import { writeRandomHf } from '../hf-writer.ts'
import { storyFolder } from '../models.ts'
import { distance, openSteps } from './steps.ts'

const scratch = mkdtempSync(join(tmpdir(), 'rocmforge-rope-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const [D, H, Hkv, C, V, layers] = [64, 4, 2, 32, 320, 2]
const base: Partial<HfConfig> = {
  head_dim: C,
  rope_theta: 10000,
  max_position_embeddings: 128,
  tie_word_embeddings: false,
}
const context = 256

/** What a rule gives: frequencies of the pairs, and the factor of cosine and sine. */
interface Turning {
  readonly inverse: readonly number[]
  readonly magnitude?: number
}
const pairs = (dims: number) => Array.from({ length: dims / 2 }, (_, i) => i)
const plain = (theta: number, dims: number) => pairs(dims).map((i) => 1 / theta ** ((2 * i) / dims))

/** Peng et al., 2023, with all that a file may set. */
function yarn(o: {
  dims?: number
  factor: number
  original: number
  fast?: number
  slow?: number
  whole?: boolean
  share?: number
}): number[] {
  const { dims = C, factor, original, fast = 32, slow = 1, whole = true, share = 1 } = o
  const bound = (rotations: number) => (dims * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(10000))
  let [low, high] = [bound(fast), bound(slow)]
  if (whole) [low, high] = [Math.floor(low), Math.ceil(high)]
  low = Math.max(low, 0)
  high = Math.min(high, dims - 1)
  return plain(10000, dims).map((frequency, i) => {
    const ramp = Math.min(1, Math.max(0, (i - low) / (high === low ? 0.001 : high - low)))
    const kept = (1 - ramp) * share
    return (frequency / factor) * (1 - kept) + frequency * kept
  })
}

/** Logits f64[V] behind each token of a llama with these weights. */
function llama(folder: string, tokens: readonly number[], { inverse, magnitude = 1 }: Turning): number[][] {
  const weights = readFloats(join(folder, 'model.safetensors'))
  const get = (name: string) => weights.get(name)!.values
  const times = (name: string, x: readonly number[]) => {
    const w = get(name)
    return Array.from({ length: w.length / x.length }, (_, r) =>
      x.reduce((sum, v, c) => sum + v * w[r * x.length + c]!, 0),
    )
  }
  const norm = (x: readonly number[], name: string) => {
    const w = get(name)
    const scale = 1 / Math.sqrt(x.reduce((sum, v) => sum + v * v, 0) / x.length + 1e-5)
    return x.map((v, i) => v * scale * w[i]!)
  }
  const turn = (head: readonly number[], position: number) => {
    const out = [...head]
    const half = inverse.length
    for (const [i, frequency] of inverse.entries()) {
      const [cos, sin] = [magnitude * Math.cos(position * frequency), magnitude * Math.sin(position * frequency)]
      out[i] = head[i]! * cos - head[i + half]! * sin
      out[i + half] = head[i + half]! * cos + head[i]! * sin
    }
    return out
  }
  const heads = (x: readonly number[], count: number) =>
    Array.from({ length: count }, (_, h) => x.slice(h * C, (h + 1) * C))
  const embedding = get('model.embed_tokens.weight')
  let xs = tokens.map((id) => Array.from(embedding.subarray(id * D, (id + 1) * D)))
  for (let n = 0; n < layers; n++) {
    const name = (module: string) => `model.layers.${n}.${module}.weight`
    const normed = xs.map((x) => norm(x, name('input_layernorm')))
    const keys = normed.map((h, p) => heads(times(name('self_attn.k_proj'), h), Hkv).map((k) => turn(k, p)))
    const values = normed.map((h) => heads(times(name('self_attn.v_proj'), h), Hkv))
    xs = xs.map((x, p) => {
      const mixed = heads(times(name('self_attn.q_proj'), normed[p]!), H).flatMap((q, h) => {
        const [turned, kv] = [turn(q, p), Math.floor((h * Hkv) / H)]
        const scores = keys
          .slice(0, p + 1)
          .map((k) => k[kv]!.reduce((sum, v, c) => sum + v * turned[c]!, 0) / Math.sqrt(C))
        const most = Math.max(...scores)
        const shares = scores.map((s) => Math.exp(s - most))
        const total = shares.reduce((a, b) => a + b, 0)
        return Array.from({ length: C }, (_, c) =>
          shares.reduce((sum, s, t) => sum + (s / total) * values[t]![kv]![c]!, 0),
        )
      })
      const attended = times(name('self_attn.o_proj'), mixed).map((v, i) => x[i]! + v)
      const h = norm(attended, name('post_attention_layernorm'))
      const [gate, up] = [times(name('mlp.gate_proj'), h), times(name('mlp.up_proj'), h)]
      const inner = gate.map((g, i) => (g / (1 + Math.exp(-g))) * up[i]!)
      return times(name('mlp.down_proj'), inner).map((v, i) => attended[i]! + v)
    })
  }
  return xs.map((x) => times('lm_head.weight', norm(x, 'model.norm.weight')))
}

interface Case {
  readonly name: string
  readonly scaling?: NonNullable<HfConfig['rope_scaling']>
  readonly config?: Partial<HfConfig>
  /** metadata of a GGUF file instead */
  readonly gguf?: Readonly<Record<string, Field>>
  readonly right: Turning
}

const trained = { original_max_position_embeddings: 32 }
const mscale = (factor: number, weight = 1) => 0.1 * weight * Math.log(factor) + 1
const cases: Case[] = [
  {
    name: 'yarn',
    scaling: { rope_type: 'yarn', factor: 4, ...trained },
    right: { inverse: yarn({ factor: 4, original: 32 }), magnitude: mscale(4) },
  },
  {
    name: 'yarn, the factor from both contexts, own bounds that are no whole pairs',
    scaling: { type: 'yarn', ...trained, beta_fast: 4, beta_slow: 0.5, truncate: false },
    right: { inverse: yarn({ factor: 4, original: 32, fast: 4, slow: 0.5, whole: false }), magnitude: mscale(4) },
  },
  {
    name: 'yarn, half of a head, two mscales',
    scaling: { rope_type: 'yarn', factor: 8, ...trained, mscale: 0.7, mscale_all_dim: 1.3 },
    config: { partial_rotary_factor: 0.5 },
    right: {
      inverse: yarn({ dims: C / 2, factor: 8, original: 32 }),
      magnitude: mscale(8, 0.7) / mscale(8, 1.3),
    },
  },
  {
    name: 'yarn, its own attention factor',
    scaling: { rope_type: 'yarn', factor: 4, ...trained, attention_factor: 1.5 },
    right: { inverse: yarn({ factor: 4, original: 32 }), magnitude: 1.5 },
  },
  {
    name: 'dynamic, for the whole context',
    scaling: { rope_type: 'dynamic', factor: 3 },
    right: { inverse: plain(10000 * ((3 * context) / 128 - 2) ** (C / (C - 2)), C) },
  },
  {
    name: 'dynamic, within the original context',
    scaling: { rope_type: 'dynamic', factor: 3 },
    config: { max_position_embeddings: 512 },
    right: { inverse: plain(10000, C) },
  },
  {
    name: 'longrope, beyond the original context',
    scaling: {
      ...{ rope_type: 'longrope', ...trained },
      short_factor: pairs(C).map(() => 1),
      long_factor: pairs(C).map((i) => 1 + i / 3),
    },
    right: {
      inverse: plain(10000, C).map((frequency, i) => frequency / (1 + i / 3)),
      magnitude: Math.sqrt(1 + Math.log(4) / Math.log(32)),
    },
  },
  {
    name: 'GGUF yarn',
    gguf: { 'llama.rope.scaling.factor': f32(4) },
    right: { inverse: yarn({ factor: 4, original: 32 }), magnitude: mscale(4) },
  },
  {
    name: 'GGUF yarn with every key',
    gguf: {
      'llama.rope.scaling.factor': f32(8),
      'llama.rope.scaling.attn_factor': f32(1.25),
      'llama.rope.scaling.yarn_ext_factor': f32(0.5),
      'llama.rope.scaling.yarn_log_multiplier': f32(0.5),
      'llama.rope.scaling.yarn_beta_fast': f32(8),
      'llama.rope.scaling.yarn_beta_slow': f32(2),
    },
    right: {
      inverse: yarn({ factor: 8, original: 32, fast: 8, slow: 2, share: 0.5 }),
      magnitude: (1.25 * mscale(8)) / mscale(8, 0.5),
    },
  },
  {
    name: 'GGUF yarn that blends nothing',
    gguf: { 'llama.rope.scaling.factor': f32(2), 'llama.rope.scaling.yarn_ext_factor': f32(0) },
    right: { inverse: plain(10000, C).map((frequency) => frequency / 2) },
  },
]

const tokens = Array.from({ length: 150 }, (_, i) => 3 + ((i * 7919 + 13) % (V - 3)))
const devices: [device: string, level: 0 | 1 | 2 | 3][] = [
  ['host', 0],
  ['host', 2],
  ['host', 3],
  ['host-wave32', 3],
]

test.each(cases)('$name', async ({ name, scaling, config, gguf, right }) => {
  const folder = join(scratch, name.replaceAll(/\W+/g, '-'))
  writeRandomHf(folder, { ...base, ...config, ...(scaling ? { rope_scaling: scaling } : {}) })
  let path = folder
  if (gguf) {
    path = `${folder}.gguf`
    writeGgufFrom(folder, path, 'F32', {
      'llama.rope.scaling.type': text('yarn'),
      'llama.rope.scaling.original_context_length': u32(32),
      ...gguf,
    })
  }
  const expected = llama(folder, tokens, right)
  // what is compared must depend on the scaling
  expect(
    distance(
      Float32Array.from(expected[140]!),
      Float32Array.from(llama(folder, tokens, { inverse: plain(20000, C) })[140]!),
    ),
  ).toBeGreaterThan(1e-2)
  for (const [device, optLevel] of devices) {
    const emulated = device !== 'host'
    const isThorough = name === 'yarn' || name === 'GGUF yarn with every key'
    if (!isThorough && (emulated || optLevel !== 3)) continue // waves take a second a step
    await using steps = await openSteps(path, { device, optLevel, context, chunk: 64 })
    const where = `${device} -O${optLevel}`
    const prompt = emulated ? 60 : 140
    let logits = new Float32Array()
    for (let at = 0; at < prompt; at += 64)
      logits = (await steps.prefill(tokens.slice(at, Math.min(prompt, at + 64)), at)) as Float32Array<ArrayBuffer>
    expect(distance(logits, Float32Array.from(expected[prompt - 1]!)), `${where}, prefill`).toBeLessThan(2e-5)
    for (let at = prompt; at < prompt + (emulated ? 1 : 6); at++) {
      const decoded = await steps.decode(tokens[at]!, at)
      expect(distance(decoded, Float32Array.from(expected[at]!)), `${where}, decode ${at}`).toBeLessThan(2e-5)
    }
  }
})

test('a story stretched by YaRN: the tokens of llama.cpp (node-llama-cpp 3.22.1, CPU, f32 cache)', async () => {
  const path = join(scratch, 'story.gguf')
  writeGgufFrom(storyFolder('story-3m'), path, 'F16', {
    'llama.rope.scaling.type': text('yarn'),
    'llama.rope.scaling.factor': f32(4),
    'llama.rope.scaling.original_context_length': u32(128),
  })
  await using model = await compile(path, { device: 'host', context: 256 })
  const prompt = 'Once upon a time there was a little girl who went into the deep dark forest to look for her'
  const { tokenIds } = await model.generate(prompt, { maxTokens: 24 }).result()
  expect(tokenIds).toEqual([
    407, 601, 16, 624, 308, 468, 2564, 274, 1026, 278, 398, 278, 262, 1502, 278, 1982, 347, 679, 16, 624, 630, 261, 407,
    684,
  ])
})
