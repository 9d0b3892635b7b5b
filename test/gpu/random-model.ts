// Checkpoints of random weights in the shapes of well-known models, for figures: speed does not depend on the values. Written
// piece by piece, so that 16 GB need no memory; or sparse, where only headers matter.
import { closeSync, existsSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { numberToBf16 } from '../../ir/half.ts'
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import { rowBytes } from '../../ir/type.ts'
import { ggufBytes, type HfConfig, metadataOf, type TensorToWrite } from '../gguf-writer.ts'
import { byteTokenizer, normals, shapesOf } from '../hf-writer.ts'

export const shapes = {
  tiny: { hidden: 256, layers: 2, ffn: 512, heads: 4, kvHeads: 2, vocab: 512, tied: true },
  '1B': { hidden: 2048, layers: 16, ffn: 8192, heads: 32, kvHeads: 8, vocab: 128256, tied: true },
  '8B': { hidden: 4096, layers: 32, ffn: 14336, heads: 32, kvHeads: 8, vocab: 128256, tied: false },
} as const
export type ShapeName = keyof typeof shapes

function configOf(name: ShapeName): HfConfig {
  const { hidden, layers, ffn, heads, kvHeads, vocab, tied } = shapes[name]
  return {
    model_type: 'llama',
    vocab_size: vocab,
    hidden_size: hidden,
    intermediate_size: ffn,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    max_position_embeddings: 8192,
    rope_theta: 500000,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: tied,
    bos_token_id: 1,
    eos_token_id: 2,
  }
}

const patternBytes = 16 * 2 ** 20

/** A Llama of this shape in bf16: normal weights of deviation 0.02, norms of 1. Gives the folder. */
export function randomModel(scratch: string, name: ShapeName, options: { readonly sparse?: boolean } = {}): string {
  const folder = join(scratch, `random-${name}${options.sparse ? '-sparse' : ''}`)
  if (existsSync(join(folder, 'complete'))) return folder
  mkdirSync(folder, { recursive: true })
  const config = configOf(name)
  const json: Record<string, unknown> = {}
  let place = 0
  const tensors = Object.entries(shapesOf(config)).map(([tensor, shape]) => {
    const bytes = shape.reduce((a, b) => a * b, 2)
    json[tensor] = { dtype: 'BF16', shape, data_offsets: [place, place + bytes] }
    place += bytes
    return { bytes, norm: shape.length === 1 }
  })
  const text = Buffer.from(JSON.stringify(json))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  const file = openSync(join(folder, 'model.safetensors'), 'w')
  try {
    writeSync(file, Buffer.concat([length, text]))
    if (options.sparse) ftruncateSync(file, 8 + text.length + place)
    else {
      const ones = bytesOf(new Uint16Array(2 ** 16).fill(numberToBf16(1)))
      const [weights, norms] = [normalPattern(), repeated(ones, patternBytes)]
      for (const { bytes, norm } of tensors) writePattern(file, norm ? norms : weights, bytes)
    }
  } finally {
    closeSync(file)
  }
  const write = (file: string, content: unknown) => writeFileSync(join(folder, file), JSON.stringify(content))
  write('config.json', config)
  write('generation_config.json', { bos_token_id: 1, eos_token_id: 2 })
  write('tokenizer.json', byteTokenizer(config))
  write('tokenizer_config.json', { add_bos_token: true, bos_token: '<|bos|>', eos_token: '<|eos|>' })
  writeFileSync(join(folder, 'complete'), '')
  return folder
}

/** bf16 of deviation 0.02 */
function normalPattern(): Uint8Array {
  const normal = normals(1)
  return repeated(bytesOf(Uint16Array.from({ length: 2 ** 20 }, () => numberToBf16(0.02 * normal()))), patternBytes)
}

const bytesOf = (numbers: Uint16Array): Uint8Array => new Uint8Array(numbers.buffer)
function repeated(piece: Uint8Array, bytes: number): Uint8Array {
  const out = new Uint8Array(Math.floor(bytes / piece.length) * piece.length)
  for (let at = 0; at < out.length; at += piece.length) out.set(piece, at)
  return out
}
function writePattern(file: number, pattern: Uint8Array, bytes: number): void {
  for (let at = 0; at < bytes; at += pattern.length) writeSync(file, pattern, 0, Math.min(pattern.length, bytes - at))
}

/** The same shape as a GGUF file: bf16, or one quantised type in valid random blocks, the embedding then in Q8_0. */
export function randomGguf(scratch: string, name: ShapeName, type: 'BF16' | 'Q8_0' | 'Q4_0'): string {
  const path = join(scratch, `random-${name}.${type}.gguf`)
  if (existsSync(path)) return path
  const config = configOf(name)
  const source = randomModel(scratch, name, { sparse: true })
  const tensors: (TensorToWrite & { readonly bytes: number })[] = []
  let place = 0
  for (const [long, shape] of Object.entries(shapesOf(config))) {
    const short = shortName(long)
    const stored =
      shape.length === 1
        ? 'f32'
        : type === 'BF16'
          ? 'bf16'
          : /embd|^output\.weight/.test(short)
            ? 'q8_0'
            : (type.toLowerCase() as QuantType)
    const bytes = shape.length === 1 ? shape[0]! * 4 : shape[0]! * rowBytes(stored, shape[1]!)
    tensors.push({ name: short, type: stored, shape, data: new Uint8Array(0), offset: place, bytes })
    place += Math.ceil(bytes / 32) * 32
  }
  const file = openSync(path, 'w')
  try {
    writeSync(file, ggufBytes({ metadata: metadataOf(source, config, type), tensors }))
    const ones = repeated(new Uint8Array(new Float32Array(1024).fill(1).buffer), patternBytes)
    const patterns = { f32: ones, bf16: normalPattern(), q8_0: randomBlocks('q8_0'), q4_0: randomBlocks('q4_0') }
    for (const { type: stored, bytes } of tensors) {
      writePattern(file, patterns[stored as keyof typeof patterns], bytes)
      writeSync(file, new Uint8Array((32 - (bytes % 32)) % 32))
    }
  } finally {
    closeSync(file)
  }
  return path
}

/** Blocks that start with an f16 scale of 2^-12, then random codes. */
function randomBlocks(type: 'q8_0' | 'q4_0'): Uint8Array {
  const { bytes } = quantFormats[type]
  const piece = new Uint8Array(bytes * 30000)
  let state = 1
  for (let i = 0; i < piece.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    piece[i] = i % bytes === 0 ? 0 : i % bytes === 1 ? 0x0c : state >>> 24
  }
  return repeated(piece, patternBytes)
}

const parts: Readonly<Record<string, string>> = {
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  input_layernorm: 'attn_norm',
  post_attention_layernorm: 'ffn_norm',
}
function shortName(long: string): string {
  const [, layer, part] = /^model\.layers\.(\d+)\.(.*)\.weight$/.exec(long) ?? []
  if (layer) return `blk.${layer}.${parts[part!]}.weight`
  return (
    { 'model.embed_tokens.weight': 'token_embd.weight', 'model.norm.weight': 'output_norm.weight' }[long] ??
    'output.weight'
  )
}
