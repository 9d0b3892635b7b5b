// What both file formats give to `openCheckpoint`.
import { fail } from '../../ir/diagnostic.ts'
import type { Dtype } from '../../ir/type.ts'
import type { TokenizerSource } from '../tokenizer/source.ts'
import type { ModelConfig } from './model-config.ts'
import type { SourceFile } from './source-file.ts'
import type { WeightIndex } from './weight-index.ts'

/** How the authors of a model would have it sampled; what they do not say is absent. */
export interface GenerationDefaults {
  /** false: greedy, whatever the rest says */
  readonly doSample?: boolean | undefined
  readonly temperature?: number | undefined
  readonly topK?: number | undefined
  readonly topP?: number | undefined
  readonly minP?: number | undefined
  readonly repetitionPenalty?: number | undefined
  /** tokens that end a text, from every place that names some */
  readonly eos: readonly number[]
}

export interface OpenOptions {
  /** architectures that the caller can run; another one is refused before its configuration is read */
  readonly architectures?: readonly string[] | undefined
  /** tokens that texts may have: rope scalings that depend on a text's length are made for so many */
  readonly context?: number | undefined
}

export interface CheckpointParts {
  readonly format: 'gguf' | 'safetensors'
  readonly config: ModelConfig
  readonly weights: WeightIndex
  readonly tokenizer: TokenizerSource
  readonly generation: GenerationDefaults
  /** what was odd in the files and how it was mended, one sentence each */
  readonly notes: readonly string[]
  /** open, to be closed with the checkpoint */
  readonly files: readonly SourceFile[]
}

/** The dtype of most elements; f32 when there are no weights. */
export function dominantDtype(weights: WeightIndex): Dtype {
  const counts = new Map<Dtype, number>()
  for (const entry of weights) {
    const elements = entry.shape.reduce((product, dim) => product * dim, 1)
    counts.set(entry.dtype, (counts.get(entry.dtype) ?? 0) + elements)
  }
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best), ['f32', -1] as [Dtype, number])[0]
}

export function refuseUnknownArchitecture(path: string, architecture: string, { architectures }: OpenOptions): void {
  if (!architectures || architectures.includes(architecture)) return
  fail({
    code: 'unknown-architecture',
    message: `models of architecture ${architecture} are not supported`,
    facts: [
      ['file', path],
      ['known', architectures.join(', ')],
    ],
  })
}
