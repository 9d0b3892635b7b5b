// Opens a model on disk, whatever its format, as one thing: configuration, places of the weights, tokenizer, sampling
// defaults. Reads headers only; nothing of a weight is read until someone asks for it.
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import type { TokenizerSource } from '../tokenizer/source.ts'
import type { CheckpointParts, GenerationDefaults, OpenOptions } from './checkpoint-parts.ts'
import { openGguf } from './gguf-checkpoint.ts'
import { openHuggingFace } from './hugging-face-folder.ts'
import type { ModelConfig } from './model-config.ts'
import { isRegularFile, kindOfPath, openSourceFile } from './source-file.ts'
import type { WeightIndex } from './weight-index.ts'

export type { GenerationDefaults, OpenOptions } from './checkpoint-parts.ts'

/** An open model; holds its files open until it is disposed of. */
export interface Checkpoint extends AsyncDisposable {
  /** as the caller gave it */
  readonly path: string
  readonly format: 'gguf' | 'safetensors'
  readonly config: ModelConfig
  readonly weights: WeightIndex
  readonly tokenizer: TokenizerSource
  readonly generation: GenerationDefaults
}

/**
 * Opens a Hugging Face folder, a .safetensors file beside its config.json, a .gguf file, or a folder with one .gguf
 * file. Throws a Diagnostic that names file, key or tensor, and the rule that is broken.
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { files, ...parts } = openParts(path, options)
  return {
    path,
    ...parts,
    async [Symbol.asyncDispose]() {
      for (const file of files) file.close()
    },
  }
}

function openParts(path: string, options: OpenOptions): CheckpointParts {
  if (kindOfPath(path) === 'file') return openFile(path, options)
  if (isRegularFile(join(path, 'config.json'))) return openHuggingFace(path, undefined, options)
  const ggufs = readdirSync(path).filter((name) => name.endsWith('.gguf'))
  if (ggufs.length === 1) return openFile(join(path, ggufs[0]!), options)
  return fail({
    code: 'not-a-checkpoint',
    message: ggufs.length ? 'the folder holds several models' : 'the folder holds no model',
    facts: [
      ['folder', path],
      ['expected', 'config.json, or one .gguf file'],
      ['got', ggufs.slice(0, 8).join(', ') || 'neither'],
    ],
    help: ggufs.length ? 'name one of the files' : 'give a Hugging Face folder, or a .gguf file',
  })
}

/** How files start that people mistake for models (white space and case aside), and what to say. */
const strangers: readonly (readonly [starts: readonly string[], what: string, help: string])[] = [
  [['version https://git-lfs'], 'a Git LFS pointer, not the file itself', 'fetch the file: git lfs pull'],
  [
    ['<!doctype', '<html', '<head', '<?xml'],
    'a web page, not a model',
    'download the file itself, not the page about it',
  ],
  [['pk\x03\x04'], 'a zip archive (perhaps a PyTorch checkpoint)', 'unpack it, or convert the weights to safetensors'],
  [['\x1f\x8b'], 'a gzip archive', 'unpack it first'],
  [['\x80\x02', '\x80\x04'], 'a Python pickle', 'convert the weights to safetensors'],
  [['fugg'], 'a big-endian GGUF file', 'convert the model for a little-endian machine'],
  [
    ['lmgg', 'tjgg', 'fmgg', 'algg'],
    'a file of a format older than GGUF',
    'convert the model again with a tool of today',
  ],
]

function openFile(path: string, options: OpenOptions): CheckpointParts {
  const start = firstBytes(path, 64)
  if (start.startsWith('GGUF')) return openGguf(path, options)
  const plain = start.trimStart().toLowerCase()
  const stranger = strangers.find(([starts]) => starts.some((one) => plain.startsWith(one)))
  if (stranger) {
    const [, what, help] = stranger
    return fail({ code: 'not-a-checkpoint', message: `this is ${what}`, facts: [['file', path]], help })
  }
  if (path.endsWith('.safetensors') || start[8] === '{') return openHuggingFace(dirname(path), path, options)
  if (path.endsWith('.gguf')) return openGguf(path, options) // says what is wrong with it
  return fail({
    code: 'not-a-checkpoint',
    message: 'this is no model file',
    facts: [
      ['file', path],
      ['expected', 'a .gguf or .safetensors file, or a Hugging Face folder'],
      ['got', start ? `a file that starts with ${JSON.stringify(start.slice(0, 16))}` : 'an empty file'],
    ],
  })
}

/** The first bytes of a file, as Latin-1. */
function firstBytes(path: string, count: number): string {
  const file = openSourceFile(path)
  try {
    const bytes = Buffer.alloc(Math.min(count, file.size))
    file.readSync(bytes, 0)
    return bytes.toString('latin1')
  } finally {
    file.close()
  }
}
