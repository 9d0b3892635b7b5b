// Writes GGUF files for tests: from arbitrary metadata and tensors, right or wrong, and from a Hugging Face folder.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../ir/half.ts'
import { type QuantType, quantFormats } from '../ir/quant.ts'
import { scaleRope } from '../src/loader/rope-scaling.ts'
import { quantize } from './quantize.ts'

const valueIds = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
}
type ScalarName = Exclude<keyof typeof valueIds, 'array'>
type Scalar = number | bigint | boolean | string

/** A metadata value; `raw` is written as it stands after its type id. */
export type Field =
  | { readonly type: ScalarName; readonly value: Scalar }
  | { readonly type: 'array'; readonly items: ScalarName; readonly value: readonly Scalar[] }
  | { readonly type: 'raw'; readonly id: number; readonly bytes: Uint8Array }

export interface TensorToWrite {
  readonly name: string
  /** f32, f16, bf16, i32, i8 or a quantised type; or any type id */
  readonly type: string | number
  /** row-major; written in GGUF's reversed order */
  readonly shape: readonly (number | bigint)[]
  readonly data: Uint8Array
  /** instead of where the data really lies */
  readonly offset?: number | bigint
  /** instead of the number of dims */
  readonly rank?: number
}

export interface GgufToWrite {
  readonly metadata: Readonly<Record<string, Field>> | readonly (readonly [string, Field])[]
  readonly tensors: readonly TensorToWrite[]
  readonly magic?: string
  readonly version?: number
  /** instead of the true counts */
  readonly tensorCount?: bigint
  readonly keyCount?: bigint
  /** bytes to which tensor data is aligned (write general.alignment yourself) */
  readonly alignment?: number
}

export const u32 = (value: number): Field => ({ type: 'u32', value })
export const f32 = (value: number): Field => ({ type: 'f32', value })
export const text = (value: string): Field => ({ type: 'string', value })
export const bool = (value: boolean): Field => ({ type: 'bool', value })
export const texts = (value: readonly string[]): Field => ({ type: 'array', items: 'string', value })

/** The bytes of a GGUF file. */
export function ggufBytes({
  metadata,
  tensors,
  magic = 'GGUF',
  version = 3,
  alignment = 32,
  ...counts
}: GgufToWrite): Buffer {
  const fields = Array.isArray(metadata)
    ? (metadata as [string, Field][])
    : Object.entries(metadata as Record<string, Field>)
  const parts: Uint8Array[] = [
    Buffer.from(magic),
    number('u32', version),
    number('u64', counts.tensorCount ?? BigInt(tensors.length)),
    number('u64', counts.keyCount ?? BigInt(fields.length)),
  ]
  for (const [key, field] of fields) {
    parts.push(string(key))
    if (field.type === 'raw') parts.push(number('u32', field.id), field.bytes)
    else if (field.type === 'array') {
      parts.push(
        number('u32', valueIds.array),
        number('u32', valueIds[field.items]),
        number('u64', BigInt(field.value.length)),
      )
      for (const one of field.value) parts.push(scalar(field.items, one))
    } else parts.push(number('u32', valueIds[field.type]), scalar(field.type, field.value))
  }
  let place = 0
  const data: Uint8Array[] = []
  for (const tensor of tensors) {
    parts.push(string(tensor.name), number('u32', tensor.rank ?? tensor.shape.length))
    for (const dim of [...tensor.shape].reverse()) parts.push(number('u64', BigInt(dim)))
    parts.push(number('u32', typeof tensor.type === 'number' ? tensor.type : tensorId(tensor.type)))
    parts.push(number('u64', BigInt(tensor.offset ?? place)))
    data.push(tensor.data, new Uint8Array(padding(tensor.data.length, alignment)))
    place += tensor.data.length + padding(tensor.data.length, alignment)
  }
  const header = Buffer.concat(parts)
  return Buffer.concat([header, new Uint8Array(padding(header.length, alignment)), ...data])
}

const padding = (length: number, step: number): number => (step - (length % step)) % step
const tensorId = (type: string): number =>
  ({ f32: 0, f16: 1, i8: 24, i32: 26, bf16: 30 })[type] ?? quantFormats[type as QuantType].ggufId

function string(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([number('u64', BigInt(bytes.length)), bytes])
}

const scalar = (type: ScalarName, value: Scalar): Buffer =>
  type === 'string' ? string(String(value)) : number(type, typeof value === 'string' ? Number(value) : value)

function number(type: Exclude<ScalarName, 'string'>, value: number | bigint | boolean): Buffer {
  const out = Buffer.alloc(
    { u8: 1, i8: 1, bool: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, f64: 8, u64: 8, i64: 8 }[type],
  )
  const view = new DataView(out.buffer, out.byteOffset)
  const n = Number(value)
  if (type === 'u8' || type === 'bool') view.setUint8(0, n)
  else if (type === 'i8') view.setInt8(0, n)
  else if (type === 'u16') view.setUint16(0, n, true)
  else if (type === 'i16') view.setInt16(0, n, true)
  else if (type === 'u32') view.setUint32(0, n, true)
  else if (type === 'i32') view.setInt32(0, n, true)
  else if (type === 'f32') view.setFloat32(0, n, true)
  else if (type === 'f64') view.setFloat64(0, n, true)
  else if (type === 'u64') view.setBigUint64(0, BigInt(value), true)
  else view.setBigInt64(0, BigInt(value), true)
  return out
}

/** The keys of config.json that the writers know. */
export interface HfConfig {
  readonly model_type: string
  readonly vocab_size: number
  readonly hidden_size: number
  readonly intermediate_size: number
  readonly num_hidden_layers: number
  readonly num_attention_heads: number
  readonly num_key_value_heads?: number
  readonly head_dim?: number
  readonly max_position_embeddings?: number
  readonly rope_theta?: number
  readonly rope_scaling?: Readonly<Record<string, number | string | boolean | readonly number[]>> | null
  readonly partial_rotary_factor?: number
  readonly rms_norm_eps?: number
  readonly hidden_act?: string
  readonly sliding_window?: number | null
  readonly use_sliding_window?: boolean
  readonly tie_word_embeddings?: boolean
  readonly attention_bias?: boolean
  readonly bos_token_id?: number
  readonly eos_token_id?: number | readonly number[]
}

/** Kinds of GGUF file that `writeGgufFrom` makes, with their number in general.file_type. */
const fileTypes = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q4_1: 3,
  Q8_0: 7,
  Q5_0: 8,
  Q5_1: 9,
  Q4_K_M: 15,
  Q5_K_M: 17,
  Q6_K: 18,
  BF16: 32,
}
export type GgufFileType = keyof typeof fileTypes

/**
 * Converts a Hugging Face folder (llama, mistral, qwen2 or qwen3; any safetensors of F32, F16, BF16 in one file) into a
 * GGUF file, as llama.cpp's converter would: short names, rows of Wq and Wk in rotary pairs for the llama kind, vectors
 * in f32, some matrices of mixed kinds in a finer type. `more` metadata replaces what would be there.
 */
export function writeGgufFrom(
  folder: string,
  outFile: string,
  type: GgufFileType,
  more: Readonly<Record<string, Field>> = {},
): void {
  const config: HfConfig = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))
  const tensors = [...convertedTensors(readFloats(join(folder, 'model.safetensors')), config)].map(
    ({ name, shape, values }) => {
      const stored = storedType(name, shape, type, config.num_hidden_layers)
      return { name, shape, type: stored, data: encode(stored, values) }
    },
  )
  writeFileSync(outFile, ggufBytes({ metadata: { ...metadataOf(folder, config, type), ...more }, tensors }))
}

/** `writeGgufFrom`, named after what most tests convert: models/story-3m or models/story-15m. */
export const writeStoryGguf = writeGgufFrom

interface FloatTensor {
  readonly shape: readonly number[]
  readonly values: Float32Array
}

interface StoredHeader {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly data_offsets: readonly [number, number]
}

/** Every tensor of one safetensors file as f32; a reader apart from the one under test. */
export function readFloats(file: string): Map<string, FloatTensor> {
  const bytes = readFileSync(file)
  const length = Number(bytes.readBigUInt64LE(0))
  const header: Record<string, StoredHeader> = JSON.parse(bytes.toString('utf8', 8, 8 + length))
  delete header['__metadata__']
  const out = new Map<string, FloatTensor>()
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(header)) {
    const data = bytes.subarray(8 + length + data_offsets[0], 8 + length + data_offsets[1])
    const width = dtype === 'F32' ? 4 : 2
    const read = {
      F32: (at: number) => data.readFloatLE(at),
      F16: (at: number) => f16ToNumber(data.readUInt16LE(at)),
      BF16: (at: number) => bf16ToNumber(data.readUInt16LE(at)),
    }
    const decode = read[dtype as keyof typeof read]
    out.set(name, { shape, values: Float32Array.from({ length: data.length / width }, (_, i) => decode(i * width)) })
  }
  return out
}

const layerNames: Record<string, string> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
}

function* convertedTensors(
  weights: Map<string, FloatTensor>,
  config: HfConfig,
): Generator<FloatTensor & { name: string }> {
  const permuted = config.model_type === 'llama' || config.model_type === 'mistral'
  const headsOf: Record<string, number> = {
    attn_q: config.num_attention_heads,
    attn_k: config.num_key_value_heads ?? config.num_attention_heads,
  }
  const one = (from: string, to: string) =>
    [weights.get(from)].filter((found) => !!found).map((found) => ({ name: to, ...found }))
  yield* one('model.embed_tokens.weight', 'token_embd.weight')
  yield* one('model.norm.weight', 'output_norm.weight')
  if (!config.tie_word_embeddings) yield* one('lm_head.weight', 'output.weight')
  if (config.rope_scaling?.['rope_type'] === 'llama3') yield ropeDivisors(config)
  for (let n = 0; n < config.num_hidden_layers; n++) {
    for (const [long, short] of Object.entries(layerNames)) {
      for (const part of ['weight', 'bias']) {
        for (const found of one(`model.layers.${n}.${long}.${part}`, `blk.${n}.${short}.${part}`)) {
          yield permuted && headsOf[short] ? { ...found, values: interleaveRows(found, headsOf[short]) } : found
        }
      }
    }
  }
}

/** The tensor in which GGUF keeps the frequency scaling of Llama 3. */
function ropeDivisors(config: HfConfig): FloatTensor & { name: string } {
  const scaling = config.rope_scaling!
  const dims = config.head_dim ?? config.hidden_size / config.num_attention_heads
  const rule = {
    kind: 'llama3',
    factor: Number(scaling['factor']),
    lowFreqFactor: Number(scaling['low_freq_factor']),
    highFreqFactor: Number(scaling['high_freq_factor']),
    originalContext: Number(scaling['original_max_position_embeddings']),
  } as const
  const values = scaleRope(rule, config.rope_theta ?? 10000, dims, 0).divisors!
  return { name: 'rope_freqs.weight', shape: [values.length], values }
}

/** Puts row i and row i + C/2 of every head side by side. */
function interleaveRows({ shape, values }: FloatTensor, heads: number): Float32Array {
  const rows = shape[0]!
  const width = values.length / rows
  const size = rows / heads
  const out = new Float32Array(values.length)
  for (let row = 0; row < rows; row++) {
    const inHead = row % size
    const to = row - inHead + (inHead % (size / 2)) * 2 + Math.floor(inHead / (size / 2))
    out.set(values.subarray(row * width, (row + 1) * width), to * width)
  }
  return out
}

function storedType(name: string, shape: readonly number[], type: GgufFileType, layers: number): string {
  if (shape.length === 1) return 'f32'
  const layer = Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? Number.NaN)
  const eighth = Math.floor(layers / 8)
  const important = layer < eighth || layer >= Math.floor((7 * layers) / 8) || (layer - eighth) % 3 === 2
  const finer = name === 'token_embd.weight' || name === 'output.weight' || (important && /attn_v|ffn_down/.test(name))
  const isEmbedding = name === 'token_embd.weight' || name === 'output.weight'
  const wanted = type.endsWith('_K_M') ? (finer ? 'q6_k' : type.slice(0, 4).toLowerCase()) : type.toLowerCase()
  if (/^q[45]_[01]$/.test(wanted)) return isEmbedding ? 'q8_0' : wanted
  const coarse: Record<string, string> = { q4_k: 'q5_0', q5_k: 'q5_1', q6_k: 'q8_0' } // for rows that are no whole blocks of 256
  return shape.at(-1)! % 256 ? (coarse[wanted] ?? wanted) : wanted
}

/** Floats as the bytes of `type`. */
export function encode(type: string, values: Float32Array): Uint8Array {
  if (type === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  if (type === 'f16') return new Uint8Array(Uint16Array.from(values, numberToF16).buffer)
  if (type === 'bf16') return new Uint8Array(Uint16Array.from(values, numberToBf16).buffer)
  return quantize(type as QuantType, values)
}

export function metadataOf(folder: string, config: HfConfig, type: GgufFileType): Record<string, Field> {
  const kind = config.model_type === 'mistral' ? 'llama' : config.model_type
  const headDim = config.head_dim ?? config.hidden_size / config.num_attention_heads
  return {
    'general.architecture': text(kind),
    'general.type': text('model'),
    'general.name': text(basename(resolve(folder))),
    'general.file_type': u32(fileTypes[type]),
    'general.quantization_version': u32(2),
    [`${kind}.vocab_size`]: u32(config.vocab_size),
    [`${kind}.context_length`]: u32(config.max_position_embeddings ?? 2048),
    [`${kind}.embedding_length`]: u32(config.hidden_size),
    [`${kind}.block_count`]: u32(config.num_hidden_layers),
    [`${kind}.feed_forward_length`]: u32(config.intermediate_size),
    [`${kind}.attention.head_count`]: u32(config.num_attention_heads),
    [`${kind}.attention.head_count_kv`]: u32(config.num_key_value_heads ?? config.num_attention_heads),
    [`${kind}.attention.key_length`]: u32(headDim),
    [`${kind}.attention.value_length`]: u32(headDim),
    [`${kind}.attention.layer_norm_rms_epsilon`]: f32(config.rms_norm_eps ?? 1e-6),
    [`${kind}.rope.dimension_count`]: u32(headDim * (config.partial_rotary_factor ?? 1)),
    [`${kind}.rope.freq_base`]: f32(config.rope_theta ?? 10000),
    ...(config.sliding_window ? { [`${kind}.attention.sliding_window`]: u32(config.sliding_window) } : {}),
    ...tokenizerFields(folder, config),
  }
}

function tokenizerFields(folder: string, config: HfConfig): Record<string, Field> {
  const tokenizer = JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'))
  const tokens: string[] = Array.from({ length: config.vocab_size }, (_, id) => `[unused${id}]`)
  for (const [token, id] of Object.entries<number>(tokenizer.model.vocab)) tokens[id] = token
  const special = new Set<number>(tokenizer.added_tokens.map(({ id }: { id: number }) => id))
  for (const { id, content } of tokenizer.added_tokens) tokens[id] = content
  const merges = tokenizer.model.merges.map((pair: string | string[]) => (Array.isArray(pair) ? pair.join(' ') : pair))
  const eos = Array.isArray(config.eos_token_id) ? config.eos_token_id[0] : config.eos_token_id
  return {
    'tokenizer.ggml.model': text('gpt2'),
    'tokenizer.ggml.pre': text('gpt-2'),
    'tokenizer.ggml.tokens': texts(tokens),
    'tokenizer.ggml.token_type': {
      type: 'array',
      items: 'i32',
      value: tokens.map((_, id) => (special.has(id) ? 3 : 1)),
    },
    'tokenizer.ggml.merges': texts(merges),
    'tokenizer.ggml.bos_token_id': u32(config.bos_token_id ?? 1),
    'tokenizer.ggml.eos_token_id': u32(Number(eos ?? 2)),
    'tokenizer.ggml.unknown_token_id': u32(0),
    'tokenizer.ggml.add_bos_token': bool(true),
    'tokenizer.ggml.add_eos_token': bool(false),
    'tokenizer.ggml.add_space_prefix': bool(false),
  }
}
