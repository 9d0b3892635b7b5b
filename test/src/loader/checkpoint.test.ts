// What opens, and what it then says: both formats, every float and quantised type, shards, tokenizers, rope orders.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bf16ToNumber, f16ToNumber } from '../../../ir/half.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { dequantize } from '../../../ir/quant.ts'
import { isQuant } from '../../../ir/type.ts'
import { type Checkpoint, openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { requireWeight, type WeightEntry } from '../../../src/loader/weight-index.ts'
import { canonicalName, huggingFaceName } from '../../../src/loader/weight-names.ts'
import type { GgufTokenizerSource } from '../../../src/tokenizer/source.ts'
import { readFloats, text, texts, writeGgufFrom } from '../../gguf-writer.ts'
import { tinyConfig, writeRandomHf } from '../../hf-writer.ts'
import { put, scratchFolder, tinyGguf, tinyMetadata, tinyTensors } from './fixtures.ts'

const folder = scratchFolder()
const story = join(packageRoot(), 'models/story-3m')

/** The values of a weight, read in pieces of 1000 bytes as a device upload would. */
async function values(checkpoint: Checkpoint, entry: WeightEntry): Promise<Float32Array> {
  const bytes = new Uint8Array(entry.bytes)
  for (let at = 0; at < bytes.length; at += 1000)
    await checkpoint.weights.read(entry, bytes.subarray(at, at + 1000), at)
  const view = new DataView(bytes.buffer)
  const out = new Float32Array(entry.shape.reduce((product, dim) => product * dim, 1))
  if (isQuant(entry.dtype)) dequantize(entry.dtype, view, 0, out.length, out)
  else if (entry.dtype === 'f32') out.set(new Float32Array(bytes.buffer))
  else {
    const decode = entry.dtype === 'f16' ? f16ToNumber : bf16ToNumber
    for (let i = 0; i < out.length; i++) out[i] = decode(view.getUint16(i * 2, true))
  }
  return out
}

/** Quicker than toEqual on long arrays. */
const sameBits = (a: Float32Array, b: Float32Array): boolean =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength))

test('the bundled story model', async () => {
  await using checkpoint = await openCheckpoint(story)
  const { config, tokenizer, generation } = checkpoint
  expect(config).toMatchObject({
    architecture: 'llama',
    vocabSize: 4096,
    hidden: 192,
    layers: 6,
    heads: 6,
    kvHeads: 2,
    headDim: 32,
    rope: { theta: 10000, dims: 32, style: 'half-split', freqFactors: undefined },
    tiedEmbeddings: true,
    weightDtype: 'f16',
    bos: 1,
    eos: [2],
    addBos: true,
  })
  expect(tokenizer).toMatchObject({ kind: 'huggingface', tokenizerJson: join(story, 'tokenizer.json') })
  expect(generation).toMatchObject({ doSample: true, temperature: 0.8, topP: 0.95, eos: [2] })
})

test('the same model as GGUF: the same numbers, with the rows of q and k in rotary pairs', async () => {
  const path = join(folder, 'story.gguf')
  writeGgufFrom(story, path, 'F16')
  await using gguf = await openCheckpoint(path)
  await using original = await openCheckpoint(story)
  const { rope: ggufRope, normEps: ggufEps, addBos, weightDtype, name, ...ggufRest } = gguf.config
  const { rope, normEps, addBos: _, weightDtype: __, name: ___, ...rest } = original.config
  expect(ggufRest).toEqual(rest)
  expect([addBos, weightDtype, name]).toEqual([true, 'f16', 'story-3m'])
  expect(ggufEps).toBe(Math.fround(normEps)) // the file holds an f32
  expect(ggufRope).toEqual({ ...rope, style: 'interleaved' })
  expect([...gguf.weights].map((entry) => entry.name).sort()).toEqual(
    [...original.weights].map((entry) => entry.name).sort(),
  )
  for (const entry of original.weights) {
    const [here, there] = [await values(original, entry), await values(gguf, gguf.weights.get(entry.name)!)]
    if (!/attn_[qk]\.weight/.test(entry.name)) {
      expect(sameBits(there, here), entry.name).toBe(true)
      continue
    }
    const row = (data: Float32Array, n: number): Float32Array => data.subarray(n * 192, (n + 1) * 192)
    for (let pair = 0; pair < 16; pair++) {
      expect(sameBits(row(there, 32 + 2 * pair), row(here, 32 + pair))).toBe(true) // head 1
      expect(sameBits(row(there, 32 + 2 * pair + 1), row(here, 32 + pair + 16))).toBe(true)
    }
  }
  expect(gguf.tokenizer).toMatchObject({
    kind: 'gguf',
    model: 'gpt2',
    pre: 'gpt-2',
    bos: 1,
    eos: 2,
    unk: 0,
    addBos: true,
  })
})

test.each(['Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K_M', 'Q5_K_M', 'Q6_K', 'BF16', 'F32'] as const)(
  '%s files hold the model to their precision',
  async (type) => {
    const source = join(folder, 'wide')
    writeRandomHf(source, { hidden_size: 256, intermediate_size: 512, num_hidden_layers: 1 })
    const path = join(folder, `wide.${type}.gguf`)
    writeGgufFrom(source, path, type)
    await using quantised = await openCheckpoint(path)
    await using original = await openCheckpoint(source)
    const entry = quantised.weights.get('blk.0.ffn_up.weight')!
    expect(entry.dtype).toBe(type.toLowerCase().replace('_m', ''))
    expect(entry.shape).toEqual([512, 256])
    expect(quantised.config.weightDtype).toBe(entry.dtype)
    const [there, here] = [await values(quantised, entry), await values(original, original.weights.get(entry.name)!)]
    const squares = (data: Float32Array): number => data.reduce((sum, v) => sum + v * v, 0)
    const error = Math.sqrt(squares(there.map((v, i) => v - here[i]!)) / squares(here))
    const bits = { F32: 24, BF16: 8 }[type as string] ?? Number(type[1])
    expect(error).toBeLessThan(type === 'F32' ? 1e-9 : 1.6 / 2 ** bits)
  },
)

test.each(['F32', 'F16', 'BF16'] as const)('safetensors of %s, whole and in shards', async (dtype) => {
  const whole = join(folder, `whole-${dtype}`)
  const sharded = join(folder, `sharded-${dtype}`)
  writeRandomHf(whole, { model_type: 'qwen3', tie_word_embeddings: false }, { dtype })
  writeRandomHf(sharded, { model_type: 'qwen3', tie_word_embeddings: false }, { dtype, shards: 3 })
  const expected = readFloats(join(whole, 'model.safetensors'))
  const firstShard = join(sharded, 'model-00001-of-00003.safetensors')
  for (const path of [whole, join(whole, 'model.safetensors'), sharded, firstShard]) {
    await using checkpoint = await openCheckpoint(path)
    expect(checkpoint.weights.size).toBe(expected.size)
    for (const [name, { shape, values: there }] of expected) {
      const entry = checkpoint.weights.get(canonicalName(name))!
      expect(entry).toMatchObject({ originalName: name, shape, dtype: dtype.toLowerCase() })
      expect(sameBits(await values(checkpoint, entry), there), name).toBe(true)
    }
  }
})

test('what the architecture and the tensors say about biases, norms and ties', async () => {
  const of = async (changes: Partial<typeof tinyConfig>) => {
    const path = join(folder, 'arch')
    writeRandomHf(path, changes)
    await using checkpoint = await openCheckpoint(path)
    const { attentionBias, qkNorm, tiedEmbeddings, slidingWindow } = checkpoint.config
    return { attentionBias, qkNorm, tiedEmbeddings, slidingWindow }
  }
  const none = { attentionBias: false, qkNorm: false, tiedEmbeddings: true, slidingWindow: undefined }
  expect(await of({})).toEqual(none)
  expect(await of({ model_type: 'qwen2' })).toEqual({ ...none, attentionBias: true })
  expect(await of({ model_type: 'qwen3' })).toEqual({ ...none, qkNorm: true })
  expect(await of({ tie_word_embeddings: false })).toEqual({ ...none, tiedEmbeddings: false })
  expect(await of({ model_type: 'mistral', sliding_window: 8 })).toEqual({ ...none, slidingWindow: 8 })
  expect(await of({ model_type: 'qwen2', sliding_window: 8, use_sliding_window: false })).toEqual({
    ...none,
    attentionBias: true,
  })
})

test('Llama 3 frequencies: from the parameters of a config and from the tensor of a GGUF file', async () => {
  const source = join(folder, 'llama3')
  const rope_scaling = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  }
  writeRandomHf(source, { head_dim: 128, rope_theta: 500000, rope_scaling })
  const path = join(folder, 'llama3.gguf')
  writeGgufFrom(source, path, 'F32')
  await using config = await openCheckpoint(source)
  await using gguf = await openCheckpoint(path)
  const factors = config.config.rope.freqFactors!
  expect(gguf.config.rope.freqFactors).toEqual(factors)
  // fast turns untouched, slow ones 8 times slower, those between in between
  expect([factors.length, factors[0], factors[28], factors[63]]).toEqual([64, 1, 1, 8])
  expect(factors[32]).toBeGreaterThan(1)
  expect(factors[32]).toBeLessThan(8)
})

test('linear scaling and partial rotary take the same form', async () => {
  const path = join(folder, 'linear')
  writeRandomHf(path, { rope_scaling: { type: 'linear', factor: 4 }, partial_rotary_factor: 0.5 })
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.rope).toMatchObject({ dims: 8, freqFactors: new Float32Array(4).fill(4) })
})

test('newer configs keep the rope settings in rope_parameters', async () => {
  const path = join(folder, 'parameters')
  writeRandomHf(path)
  const { rope_theta: _, ...config } = tinyConfig
  put(path, 'config.json', JSON.stringify({ ...config, rope_parameters: { rope_type: 'default', rope_theta: 1e6 } }))
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.rope).toMatchObject({ theta: 1e6, freqFactors: undefined })
})

test('rope_parameters say more than the older keys beside them', async () => {
  const path = join(folder, 'both')
  writeRandomHf(path)
  const rope_parameters = { rope_type: 'default', rope_theta: 1e6, partial_rotary_factor: 0.5 }
  put(path, 'config.json', JSON.stringify({ ...tinyConfig, partial_rotary_factor: 1, rope_parameters }))
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.rope).toMatchObject({ theta: 1e6, dims: 8 })
})

test('rotary settings for each kind of layer, if all are the same; no token written as -1', async () => {
  const path = join(folder, 'kinds')
  writeRandomHf(path)
  const same = { rope_type: 'linear', factor: 2, rope_theta: 1e5 }
  const { rope_theta: _, ...config } = tinyConfig
  const rope_parameters = { full_attention: same, other: { ...same } }
  put(path, 'config.json', JSON.stringify({ ...config, rope_parameters, eos_token_id: [-1, 2], bos_token_id: -1 }))
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.rope).toMatchObject({ theta: 1e5, scaling: { kind: 'linear', factor: 2 } })
  expect([checkpoint.config.eos, checkpoint.config.bos]).toEqual([[2], undefined])
})

test('end tokens of every file, chat templates of both formats', async () => {
  const path = join(folder, 'chat')
  writeRandomHf(path)
  put(path, 'generation_config.json', JSON.stringify({ eos_token_id: [7, 2], top_k: 40, min_p: null }))
  put(path, 'chat_template.jinja', '{{ messages }}')
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.eos).toEqual([2, 7])
  expect(checkpoint.generation).toMatchObject({ topK: 40, minP: undefined, eos: [2, 7] })
  expect(checkpoint.tokenizer).toMatchObject({ chatTemplate: '{{ messages }}' })

  const metadata = tinyMetadata({
    'tokenizer.chat_template': text('{{ x }}'),
    'tokenizer.ggml.eot_token_id': { type: 'u32', value: 3 },
  })
  await using gguf = await openCheckpoint(put(folder, 'chat.gguf', tinyGguf({ metadata })))
  expect(gguf.tokenizer).toMatchObject({
    chatTemplate: '{{ x }}',
    model: 'llama',
    tokens: ['<unk>', '<s>', '</s>', 'a'],
  })
  expect(gguf.config.eos).toEqual([2, 3])
})

test('an alignment other than 32 is kept to', async () => {
  const metadata = tinyMetadata({ 'general.alignment': { type: 'u32', value: 256 } })
  await using checkpoint = await openCheckpoint(put(folder, 'aligned.gguf', tinyGguf({ metadata, alignment: 256 })))
  expect([...checkpoint.weights].map(({ offset }) => offset % 256)).toEqual([0, 0, 0])
})

test('a vocabulary of 128 k tokens', async () => {
  const tokens = Array.from({ length: 131072 }, (_, id) => `token ${id} ☃`)
  const merges = tokens.map((token) => `a ${token}`)
  const metadata = tinyMetadata({
    'tokenizer.ggml.tokens': texts(tokens),
    'tokenizer.ggml.scores': undefined,
    'tokenizer.ggml.token_type': { type: 'array', items: 'i32', value: tokens.map(() => 1) },
    'tokenizer.ggml.merges': texts(merges),
  })
  await using checkpoint = await openCheckpoint(
    put(folder, 'large.gguf', tinyGguf({ metadata, tensors: tinyTensors() })),
  )
  const { tokens: tokensRead, merges: mergesRead } = checkpoint.tokenizer as GgufTokenizerSource
  expect([tokensRead.join('\n') === tokens.join('\n'), mergesRead?.join('\n') === merges.join('\n')]).toEqual([
    true,
    true,
  ])
})

test('a path with letters of all kinds, and links', async () => {
  const path = join(folder, 'modèle № 1 🦙')
  mkdirSync(path)
  cpSync(join(folder, 'chat'), path, { recursive: true })
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.name).toBe('modèle № 1 🦙')
})

test('an output matrix that is neither there nor tied is missed by whoever asks for it', async () => {
  const path = join(folder, 'untied')
  writeRandomHf(path)
  put(path, 'config.json', JSON.stringify({ ...tinyConfig, tie_word_embeddings: false }))
  await using checkpoint = await openCheckpoint(path)
  expect(checkpoint.config.tiedEmbeddings).toBe(false)
  expect(() => requireWeight(checkpoint.weights, 'output.weight', 'matrix', [320, 64])).toThrow(
    /missing-weight(.|\n)*output\.weight/u,
  )
})

test('names go there and back', () => {
  for (const name of [
    'token_embd.weight',
    'output.weight',
    'blk.12.attn_q.bias',
    'blk.0.ffn_norm.weight',
    'output_norm.weight',
  ]) {
    expect(canonicalName(huggingFaceName(name))).toBe(name)
  }
  expect(canonicalName('vision_tower.conv.weight')).toBe('vision_tower.conv.weight')
})

test('a disposed checkpoint reads no more', async () => {
  const checkpoint = await openCheckpoint(put(folder, 'closed.gguf', tinyGguf()))
  await checkpoint[Symbol.asyncDispose]()
  await checkpoint[Symbol.asyncDispose]()
  const entry = checkpoint.weights.get('output_norm.weight')!
  await expect(checkpoint.weights.read(entry, new Uint8Array(4), 0)).rejects.toThrow(/disposed/)
  expect(() => writeFileSync(join(folder, 'closed.gguf'), '')).not.toThrow()
})
