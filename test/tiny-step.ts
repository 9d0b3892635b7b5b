// Step graphs of tiny models of every architecture, without a checkpoint: shapes follow from the configuration.
import type { Graph } from '../ir/graph.ts'
import type { Dtype } from '../ir/type.ts'
import type { ModelConfig } from '../src/loader/model-config.ts'
import type { WeightIndex } from '../src/loader/weight-index.ts'
import { lowerStep } from '../src/models/index.ts'
import type { StepOptions } from '../src/models/step.ts'

const tiny: ModelConfig = {
  architecture: 'llama',
  name: 'tiny',
  vocabSize: 20,
  hidden: 16,
  layers: 2,
  ffn: 24,
  heads: 4,
  kvHeads: 2,
  headDim: 4,
  contextLength: 64,
  normEps: 1e-5,
  rope: { theta: 10000, dims: 4, style: 'half-split' },
  tiedEmbeddings: true,
  attentionBias: false,
  qkNorm: false,
  hiddenAct: 'silu',
  weightDtype: 'f32',
  eos: [2],
}

/** The graph of a step of a model like `tiny` but for `changes`. */
export function tinyStep(changes: Partial<ModelConfig> = {}, options: Partial<StepOptions> = {}): Graph {
  const config = { ...tiny, ...changes }
  return lowerStep(config, weightsOf(config), {
    result: 'token',
    activations: 'f32',
    kvDtype: 'f32',
    pageSize: 4,
    ...options,
  })
}

/** The weights that a configuration asks for, by name and shape alone. */
export function weightsOf(config: ModelConfig): WeightIndex {
  const { hidden, ffn, heads, kvHeads, headDim, vocabSize } = config
  const rows: Record<string, number> = {
    attn_q: heads * headDim,
    attn_k: kvHeads * headDim,
    attn_v: kvHeads * headDim,
    attn_output: hidden,
    ffn_gate: ffn,
    ffn_up: ffn,
    ffn_down: hidden,
    output: vocabSize,
    token_embd: vocabSize,
  }
  const columns: Record<string, number> = { attn_output: heads * headDim, ffn_down: ffn }
  const entry = (name: string, dtype: Dtype, shape: number[]) => ({
    name,
    originalName: name,
    dtype,
    shape,
    file: '',
    offset: 0,
    bytes: 0,
  })
  return {
    size: 0,
    bytes: 0,
    path: 'tiny',
    get(name) {
      const [, role, kind] = /([a-z_]+)\.(weight|bias)$/.exec(name)!
      if (role === 'output' && config.tiedEmbeddings) return undefined
      if (kind === 'bias')
        return config.attentionBias && /attn_[qkv]/.test(role!) ? entry(name, 'f32', [rows[role!]!]) : undefined
      if (/norm/.test(role!)) return entry(name, 'f32', [/attn_[qk]_norm/.test(role!) ? headDim : hidden])
      return entry(name, config.weightDtype, [rows[role!]!, columns[role!] ?? hidden])
    },
    unusable: () => undefined,
    read: () => Promise.reject(new Error('tiny weights have no bytes')),
    readSync() {
      throw new Error('tiny weights have no bytes')
    },
    locate() {
      throw new Error('tiny weights have no bytes')
    },
    *[Symbol.iterator]() {},
  }
}
