// Shapes of well-known models, as data: what `rocmforge bench --shape` can measure without a file.
import { fail } from '../../ir/diagnostic.ts'
import { nearest } from '../../ir/near-match.ts'
import type { Dtype } from '../../ir/type.ts'
import { type ConfigFindings, defineModelConfig, type ModelConfig } from '../loader/model-config.ts'
import { type facts, factsOf } from '../models/facts.ts'

interface ModelShape {
  /** the model that has it */
  readonly like: string
  readonly architecture: keyof typeof facts
  /** D */
  readonly hidden: number
  readonly layers: number
  /** F */
  readonly ffn: number
  /** H and Hkv */
  readonly heads: number
  readonly kvHeads: number
  /** C; default: hidden / heads */
  readonly headDim?: number
  /** V */
  readonly vocab: number
  /** the output matrix is the embedding matrix */
  readonly tied: boolean
  readonly context: number
  readonly theta: number
  readonly normEps: number
  /** factor by which Llama 3 stretches low frequencies */
  readonly ropeFactor?: number
}

const llama3 = { architecture: 'llama', vocab: 128256, theta: 500000, normEps: 1e-5, context: 131072 } as const
const qwen3 = { architecture: 'qwen3', vocab: 151936, theta: 1e6, normEps: 1e-6, context: 40960, headDim: 128 } as const
const llama2 = { architecture: 'llama', vocab: 32000, theta: 10000, normEps: 1e-5, context: 4096, tied: false } as const

// biome-ignore format: a row a shape
export const shapes: Readonly<Record<string, ModelShape>> = {
  tiny: { like: 'nothing: small enough for any machine', ...llama2, hidden: 256, layers: 2, ffn: 512, heads: 4, kvHeads: 2, vocab: 512 },
  'story-3m': { like: 'models/story-3m', ...llama2, hidden: 192, layers: 6, ffn: 512, heads: 6, kvHeads: 2, vocab: 4096, tied: true, context: 512 },
  'story-15m': { like: 'models/story-15m', ...llama2, hidden: 512, layers: 5, ffn: 1280, heads: 8, kvHeads: 4, vocab: 4096, tied: true, context: 1024 },
  'qwen3-0.6b': { like: 'Qwen3-0.6B', ...qwen3, hidden: 1024, layers: 28, ffn: 3072, heads: 16, kvHeads: 8, tied: true },
  'qwen3-4b': { like: 'Qwen3-4B', ...qwen3, hidden: 2560, layers: 36, ffn: 9728, heads: 32, kvHeads: 8, tied: true },
  'qwen3-8b': { like: 'Qwen3-8B', ...qwen3, hidden: 4096, layers: 36, ffn: 12288, heads: 32, kvHeads: 8, tied: false },
  'qwen2.5-7b': { like: 'Qwen2.5-7B', architecture: 'qwen2', hidden: 3584, layers: 28, ffn: 18944, heads: 28, kvHeads: 4, vocab: 152064, tied: false, context: 32768, theta: 1e6, normEps: 1e-6 },
  'llama-1b': { like: 'Llama-3.2-1B', ...llama3, hidden: 2048, layers: 16, ffn: 8192, heads: 32, kvHeads: 8, tied: true, ropeFactor: 32 },
  'llama-3b': { like: 'Llama-3.2-3B', ...llama3, hidden: 3072, layers: 28, ffn: 8192, heads: 24, kvHeads: 8, tied: true, ropeFactor: 32 },
  'mistral-7b': { like: 'Mistral-7B-v0.3', ...llama3, hidden: 4096, layers: 32, ffn: 14336, heads: 32, kvHeads: 8, vocab: 32768, tied: false, context: 32768, theta: 1e6 },
  'llama-8b': { like: 'Llama-3.1-8B', ...llama3, hidden: 4096, layers: 32, ffn: 14336, heads: 32, kvHeads: 8, tied: false, ropeFactor: 8 },
  'llama-13b': { like: 'Llama-2-13B', ...llama2, hidden: 5120, layers: 40, ffn: 13824, heads: 40, kvHeads: 40 },
  'llama-70b': { like: 'Llama-3.1-70B', ...llama3, hidden: 8192, layers: 80, ffn: 28672, heads: 64, kvHeads: 8, tied: false, ropeFactor: 8 },
}

/** The shape of this name; Diagnostic `unknown-shape` names the nearest. */
export function findShape(name: string): ModelShape {
  if (Object.hasOwn(shapes, name)) return shapes[name]!
  return fail({
    code: 'unknown-shape',
    message: `there is no shape ${name}`,
    facts: [['shapes', Object.keys(shapes).join(', ')]],
    help: `nearest: ${nearest(name.toLowerCase(), Object.keys(shapes), 3).join(', ')}`,
  })
}

/** What a checkpoint of this shape would say of itself. */
export function configOf(name: string, weightDtype: Dtype): ModelConfig {
  const { vocab, tied, context, theta, ropeFactor, like: _, ...shape } = findShape(name)
  const findings: ConfigFindings = {
    ...shape,
    name,
    vocabSize: vocab,
    contextLength: context,
    ropeTheta: theta,
    tiedEmbeddings: tied,
    attentionBias: factsOf(shape.architecture).qkvBias,
    qkNorm: factsOf(shape.architecture).qkNorm,
    hiddenAct: 'silu',
    eos: [],
    ...(ropeFactor
      ? {
          ropeScaling: {
            kind: 'llama3',
            factor: ropeFactor,
            lowFreqFactor: 1,
            highFreqFactor: 4,
            originalContext: 8192,
          },
        }
      : {}),
  }
  return defineModelConfig(findings, { file: `shape ${name}`, keys: {}, style: 'half-split', weightDtype })
}
