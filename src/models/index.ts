// The known architectures, and the way from a checkpoint to the graph of a step.
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import { failMissing, type WeightIndex } from '../loader/weight-index.ts'
import { llama } from './llama.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'
import { type Architecture, Step, type StepOptions } from './step.ts'

export const architectures: readonly Architecture[] = [llama, qwen2, qwen3]
export const knownArchitectures: readonly string[] = architectures.flatMap(({ names }) => names)

/** The graph of one step of a model, as a person would write the model down: model ops only. */
export function lowerStep(config: ModelConfig, weights: WeightIndex, options: StepOptions): Graph {
  const architecture = architectures.find(({ names }) => names.includes(config.architecture))
  if (!architecture) {
    return fail({
      code: 'unknown-architecture',
      message: `models of architecture ${config.architecture} are not supported`,
      facts: [
        ['file', weights.path],
        ['known', knownArchitectures.join(', ')],
      ],
      help: 'an architecture is one file in src/models',
    })
  }
  if (config.hiddenAct !== 'silu') {
    fail({
      code: 'unknown-activation',
      message: `activation ${config.hiddenAct} is not what ${config.architecture} models use`,
      facts: [
        ['file', weights.path],
        ['expected', 'silu'],
      ],
      help: 'the checkpoint is of another architecture than it says',
    })
  }
  requireBiases(config, weights)
  return new Step(config, weights, options).build(architecture)
}

/** Biases are there for every layer or for none, and where the configuration promises them. */
function requireBiases({ layers, attentionBias, mlpBias }: ModelConfig, weights: WeightIndex): void {
  const promised: Record<string, boolean> = {
    ...{ attn_q: attentionBias, attn_k: attentionBias, attn_v: attentionBias, attn_output: false },
    ...{ ffn_gate: mlpBias ?? false, ffn_up: mlpBias ?? false, ffn_down: mlpBias ?? false },
  }
  const missing = Object.entries(promised).flatMap(([module, isPromised]) => {
    const names = Array.from({ length: layers }, (_, layer) => `blk.${layer}.${module}.bias`)
    const absent = names.filter((name) => !weights.get(name) && !weights.unusable(name))
    return isPromised || absent.length < layers ? absent : []
  })
  if (missing.length) failMissing(weights, missing)
}
