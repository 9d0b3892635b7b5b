// Opens a model on disk, whatever its format, as one thing: configuration, places of the weights, tokenizer, sampling
// defaults. Reads headers only; nothing of a weight is read until someone asks for it.
import { dirname, join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { cut, visible } from '../../ir/visible-text.ts'
import type { TokenizerSource } from '../tokenizer/source.ts'
import type { CheckpointParts, GenerationDefaults, OpenOptions } from './checkpoint-parts.ts'
import { firstBytes, refuseForeignFormat } from './foreign-formats.ts'
import { openGguf } from './gguf-checkpoint.ts'
import { firstOfOneModel } from './gguf-parts.ts'
import { openHuggingFace } from './hugging-face-folder.ts'
import type { ModelConfig } from './model-config.ts'
import { locateModel } from './model-path.ts'
import { isRegularFile, kindOfPath, namesIn, openSourceFile } from './source-file.ts'
import type { WeightIndex } from './weight-index.ts'

export type { GenerationDefaults } from './checkpoint-parts.ts'

/** An open model; holds its files open until it is disposed of. */
export interface Checkpoint extends AsyncDisposable {
  /** as the caller gave it */
  readonly path: string
  readonly format: 'gguf' | 'safetensors'
  readonly config: ModelConfig
  readonly weights: WeightIndex
  readonly tokenizer: TokenizerSource
  readonly generation: GenerationDefaults
  /** what was odd in the files and how it was mended, one sentence each */
  readonly notes: readonly string[]
}

/** Characters of a note: it may quote what stands in a file. */
const maxNote = 400

/** What graphs and programs are made from; a model that is made up has no more. */
export type ModelSource = Pick<Checkpoint, 'path' | 'config' | 'weights'>

/**
 * Opens a Hugging Face folder, a .safetensors file beside its config.json, a .gguf file (the first part, of a
 * model in several), or a folder with one .gguf model. Throws a Diagnostic that names file, key or tensor, and the rule that is broken.
 */
export async function openCheckpoint(path: string, options: OpenOptions = {}): Promise<Checkpoint> {
  const { files, ...parts } = openModel(locateModel(path), options)
  return {
    path,
    ...parts,
    notes: [...parts.notes, ...unusedLayers({ files, ...parts })].map((note) => cut(visible(note), maxNote)),
    async [Symbol.asyncDispose]() {
      for (const file of files) file.close()
    },
  }
}

function openModel(path: string, options: OpenOptions): CheckpointParts {
  if (kindOfPath(path) === 'file') return openFile(path, options)
  if (isRegularFile(join(path, 'config.json'))) return openHuggingFace(path, undefined, options)
  const ggufs = namesIn(path).filter((name) => name.endsWith('.gguf'))
  const only = ggufs.length === 1 ? ggufs[0] : firstOfOneModel(path, ggufs)
  if (only !== undefined) return openFile(join(path, only), options)
  return fail({
    code: 'not-a-checkpoint',
    message: ggufs.length ? 'the folder holds several models' : 'the folder holds no model',
    facts: [
      ['folder', path],
      ['expected', 'config.json, or one .gguf model'],
      ['got', ggufs.slice(0, 8).join(', ') || 'neither'],
    ],
    help: ggufs.length ? 'name one of the files' : 'give a Hugging Face folder, or a .gguf file',
  })
}

function openFile(path: string, options: OpenOptions): CheckpointParts {
  const file = openSourceFile(path)
  let start: string
  try {
    start = firstBytes(file)
    refuseForeignFormat(file)
  } catch (error) {
    file.close()
    throw error
  }
  const isSafetensors = path.endsWith('.safetensors') || start[8] === '{'
  if (start.startsWith('GGUF') || (path.endsWith('.gguf') && !isSafetensors)) return openGguf(file, options) // says what is wrong with it
  file.close()
  if (isSafetensors) return openHuggingFace(dirname(path), path, options)
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

/** Layers that the weights have beyond those of the configuration are passed over, which may be meant. */
function unusedLayers({ weights, config }: CheckpointParts): string[] {
  let layers = 0
  for (const { name } of weights) layers = Math.max(layers, Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) + 1)
  return layers > config.layers
    ? [`the weights have ${layers} layers, the configuration says ${config.layers}: the others are not used`]
    : []
}
