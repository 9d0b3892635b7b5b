// Tiny models for the loader's tests, and a way to break them: folders that vanish, and the text of the Diagnostic that
// a file gives.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll } from 'vitest'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import {
  bool,
  type Field,
  f32,
  type GgufToWrite,
  ggufBytes,
  type TensorToWrite,
  text,
  texts,
  u32,
} from '../../gguf-writer.ts'

/** A folder for one test file, removed after it. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rocmforge-loader-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function put(folder: string, name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  return path
}

/** The Diagnostic's text, with `folder` written as `…`; anything but a Diagnostic fails the test. */
export async function refusal(path: string, folder = dirname(path)): Promise<string> {
  try {
    const checkpoint = await openCheckpoint(path)
    await checkpoint[Symbol.asyncDispose]()
  } catch (error) {
    if (error instanceof Diagnostic) return error.message.replaceAll(folder, '…')
    throw error
  }
  throw new Error(`${path} opened without complaint`)
}

const zeros = (name: string, ...shape: number[]): TensorToWrite => ({
  name,
  type: 'f32',
  shape,
  data: new Uint8Array(4 * shape.reduce((product, dim) => product * dim, 1)),
})

/** Metadata of a llama of one layer, hidden 8, 2 heads, 4 tokens; `changes` replace keys, undefined removes one. */
export function tinyMetadata(changes: Record<string, Field | undefined> = {}): Record<string, Field> {
  const whole: Record<string, Field | undefined> = {
    'general.architecture': text('llama'),
    'general.name': text('tiny'),
    'llama.context_length': u32(16),
    'llama.embedding_length': u32(8),
    'llama.block_count': u32(1),
    'llama.feed_forward_length': u32(16),
    'llama.attention.head_count': u32(2),
    'llama.attention.head_count_kv': u32(1),
    'llama.attention.layer_norm_rms_epsilon': f32(1e-5),
    'llama.rope.freq_base': f32(10000),
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': texts(['<unk>', '<s>', '</s>', 'a']),
    'tokenizer.ggml.scores': { type: 'array', items: 'f32', value: [0, 0, 0, -1] },
    'tokenizer.ggml.token_type': { type: 'array', items: 'i32', value: [2, 3, 3, 1] },
    'tokenizer.ggml.bos_token_id': u32(1),
    'tokenizer.ggml.eos_token_id': u32(2),
    'tokenizer.ggml.add_bos_token': bool(true),
    ...changes,
  }
  return Object.fromEntries(Object.entries(whole).filter((entry): entry is [string, Field] => entry[1] !== undefined))
}

export const tinyTensors = (): TensorToWrite[] => [
  zeros('token_embd.weight', 4, 8),
  zeros('output_norm.weight', 8),
  zeros('blk.0.attn_q.weight', 8, 8),
]

/** The bytes of a tiny GGUF file, changed. */
export const tinyGguf = (changes: Partial<GgufToWrite> = {}): Buffer =>
  ggufBytes({ metadata: tinyMetadata(), tensors: tinyTensors(), ...changes })
