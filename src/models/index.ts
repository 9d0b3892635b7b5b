// The known architectures, and the way from a checkpoint to the graph of a step.
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import type { WeightIndex } from '../loader/weight-index.ts'
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
  return new Step(config, weights, options).build(architecture)
}
