// Writes Hugging Face folders for tests: safetensors, right or wrong, and whole checkpoints of seeded random weights.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { encode, type HfConfig } from './gguf-writer.ts'

export interface StoredToWrite {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** name → dtype, shape, data_offsets */
export type HeaderJson = Record<string, Record<string, unknown>>

/** The bytes of a safetensors file; `header` may change the JSON before it is written. */
export function safetensorsBytes(
  tensors: Readonly<Record<string, StoredToWrite>>,
  header: (json: HeaderJson) => unknown = (json) => json,
): Buffer {
  let place = 0
  const json: HeaderJson = {}
  for (const [name, { dtype, shape, data }] of Object.entries(tensors)) {
    json[name] = { dtype, shape, data_offsets: [place, place + data.length] }
    place += data.length
  }
  const changed = header(json)
  const text = Buffer.from(typeof changed === 'string' ? changed : JSON.stringify(changed))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, ...Object.values(tensors).map(({ data }) => data)])
}

/** What `writeRandomHf` takes for keys that its caller leaves out. */
export const tinyConfig: HfConfig = {
  model_type: 'llama',
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 256,
  rope_theta: 10000,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
}

export interface RandomHfOptions {
  /** default 1 */
  readonly seed?: number
  /** how matrices and vectors are stored, default F32 */
  readonly dtype?: 'F32' | 'F16' | 'BF16'
  /** files that the weights are spread over, default 1 */
  readonly shards?: number
}

/**
 * Writes a checkpoint with random weights: matrices of deviation 1/√in, norms near 1, small biases where the
 * architecture has them (qwen2, or attention_bias), q and k norms for qwen3, and a byte-level tokenizer.
 */
export function writeRandomHf(folder: string, config: Partial<HfConfig> = {}, options: RandomHfOptions = {}): void {
  const { seed = 1, dtype = 'F32', shards = 1 } = options
  const full: HfConfig = { ...tinyConfig, ...config }
  mkdirSync(folder, { recursive: true })
  const normal = normals(seed)
  const tensors = Object.entries(shapesOf(full)).map(([name, shape]): [string, StoredToWrite] => {
    const count = shape.reduce((product, dim) => product * dim, 1)
    const matrix = shape.length === 2
    const [mean, deviation] = matrix ? [0, 1 / Math.sqrt(shape[1]!)] : name.endsWith('bias') ? [0, 0.1] : [1, 0.1]
    const values = Float32Array.from({ length: count }, () => mean + deviation * normal())
    return [name, { dtype, shape, data: encode(dtype.toLowerCase(), values) }]
  })
  writeFileSync(join(folder, 'config.json'), JSON.stringify(full, null, 2))
  writeFileSync(
    join(folder, 'generation_config.json'),
    JSON.stringify({ bos_token_id: full.bos_token_id, eos_token_id: full.eos_token_id }),
  )
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(byteTokenizer(full)))
  writeFileSync(
    join(folder, 'tokenizer_config.json'),
    JSON.stringify({ add_bos_token: true, bos_token: '<|bos|>', eos_token: '<|eos|>' }),
  )
  if (shards === 1) {
    writeFileSync(join(folder, 'model.safetensors'), safetensorsBytes(Object.fromEntries(tensors)))
    return
  }
  const map: Record<string, string> = {}
  for (let n = 0; n < shards; n++) {
    const name = `model-${String(n + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`
    const part = tensors.filter((_, i) => i % shards === n)
    for (const [tensor] of part) map[tensor] = name
    writeFileSync(join(folder, name), safetensorsBytes(Object.fromEntries(part)))
  }
  writeFileSync(join(folder, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }))
}

/** Name and shape of every weight, in the names of transformers. */
export function shapesOf(config: HfConfig): Record<string, number[]> {
  const {
    hidden_size: D,
    intermediate_size: F,
    vocab_size: V,
    num_attention_heads: H,
    num_key_value_heads: Hkv = H,
  } = config
  const C = config.head_dim ?? D / H
  const out: Record<string, number[]> = { 'model.embed_tokens.weight': [V, D], 'model.norm.weight': [D] }
  if (!config.tie_word_embeddings) out['lm_head.weight'] = [V, D]
  for (let n = 0; n < config.num_hidden_layers; n++) {
    const layer = (name: string, shape: number[]): void => {
      out[`model.layers.${n}.${name}`] = shape
    }
    for (const [name, rows] of [
      ['q', H * C],
      ['k', Hkv * C],
      ['v', Hkv * C],
    ] as const) {
      layer(`self_attn.${name}_proj.weight`, [rows, D])
      if (config.model_type === 'qwen2' || config.attention_bias) layer(`self_attn.${name}_proj.bias`, [rows])
    }
    layer('self_attn.o_proj.weight', [D, H * C])
    if (config.attention_bias && config.model_type === 'llama') layer('self_attn.o_proj.bias', [D])
    if (config.model_type === 'qwen3') {
      layer('self_attn.q_norm.weight', [C])
      layer('self_attn.k_norm.weight', [C])
    }
    layer('mlp.gate_proj.weight', [F, D])
    layer('mlp.up_proj.weight', [F, D])
    layer('mlp.down_proj.weight', [D, F])
    layer('input_layernorm.weight', [D])
    layer('post_attention_layernorm.weight', [D])
  }
  return out
}

/** Byte-level BPE without merges: three special tokens, then one token a byte as far as the vocabulary reaches. */
export function byteTokenizer(config: HfConfig): unknown {
  const special = ['<unk>', '<|bos|>', '<|eos|>']
  const names = [...special, ...byteLetters()]
  const vocab: Record<string, number> = {}
  for (let id = 0; id < config.vocab_size; id++) vocab[names[id] ?? `[unused${id}]`] = id
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  }
}

/** The letter that stands for each byte in byte-level BPE: printable ones for themselves, the rest from U+0100 on. */
function byteLetters(): string[] {
  let next = 256
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174
    return String.fromCharCode(printable ? byte : next++)
  })
}

/** Standard normal numbers from a seed (mulberry32, Box-Muller). */
export function normals(seed: number): () => number {
  let state = seed >>> 0
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform())
}
