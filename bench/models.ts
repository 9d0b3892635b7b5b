// The model files that both sides of a comparison read: story-15m as GGUF, and a model of random weights with the shape of
// a 1B model (the story tokenizer keeps its vocabulary small).
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../ir/package-root.ts'
import { ggufBytes, type HfConfig, metadataOf, writeGgufFrom } from '../test/gguf-writer.ts'

const story = (): string => join(packageRoot(), 'models/story-15m')

function once(folder: string, name: string, write: (file: string) => void): string {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, name)
  if (!existsSync(file)) write(file)
  return file
}

export const storyGguf = (folder: string, type: 'F16' | 'Q8_0' | 'Q4_K_M'): string =>
  once(folder, `story-15m.${type}.gguf`, (file) => writeGgufFrom(story(), file, type))

/** 0.98 billion parameters: hidden 2048, 16 layers, ffn 8192, 32 heads, 8 of them with keys and values. */
export const shapeOf1b = (config: HfConfig): HfConfig => ({
  ...config,
  hidden_size: 2048,
  intermediate_size: 8192,
  num_hidden_layers: 16,
  num_attention_heads: 32,
  num_key_value_heads: 8,
})

/** A Q8_0 file of that shape, 1.0 GB. */
export const random1b = (folder: string): string =>
  once(folder, 'random-1b.Q8_0.gguf', (file) => {
    const config = shapeOf1b(JSON.parse(readFileSync(join(story(), 'config.json'), 'utf8')))
    const {
      hidden_size: D,
      intermediate_size: F,
      vocab_size: V,
      num_key_value_heads: Hkv = 0,
      head_dim: C = 64,
    } = config
    const matrix = (name: string, rows: number, columns: number) => ({
      name,
      type: 'q8_0',
      shape: [rows, columns],
      data: randomBlocks(rows * (columns / 32)),
    })
    const ones = (name: string) => ({
      name,
      type: 'f32',
      shape: [D],
      data: new Uint8Array(new Float32Array(D).fill(1).buffer),
    })
    const layers = Array.from({ length: config.num_hidden_layers }, (_, n) => [
      matrix(`blk.${n}.attn_q.weight`, D, D),
      matrix(`blk.${n}.attn_k.weight`, Hkv * C, D),
      matrix(`blk.${n}.attn_v.weight`, Hkv * C, D),
      matrix(`blk.${n}.attn_output.weight`, D, D),
      matrix(`blk.${n}.ffn_gate.weight`, F, D),
      matrix(`blk.${n}.ffn_up.weight`, F, D),
      matrix(`blk.${n}.ffn_down.weight`, D, F),
      ones(`blk.${n}.attn_norm.weight`),
      ones(`blk.${n}.ffn_norm.weight`),
    ])
    const tensors = [matrix('token_embd.weight', V, D), ones('output_norm.weight'), ...layers.flat()]
    writeFileSync(file, ggufBytes({ metadata: metadataOf(story(), config, 'Q8_0'), tensors }))
  })

/** q8_0 blocks: a scale of 2^-12 and random codes, a megabyte of them over and over. */
function randomBlocks(blocks: number): Uint8Array {
  const pattern = new Uint8Array(34 * 30840)
  let state = 1
  for (let i = 0; i < pattern.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    pattern[i] = i % 34 === 0 ? 0x00 : i % 34 === 1 ? 0x0c : state >>> 24
  }
  const out = new Uint8Array(blocks * 34)
  for (let at = 0; at < out.length; at += pattern.length)
    out.set(pattern.subarray(0, Math.min(pattern.length, out.length - at)), at)
  return out
}
