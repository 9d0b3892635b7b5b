// What the sampler of a step reads, by the name of the graph's input: settings of each request, one behind the other.
import { biasSlots } from '../models/step.ts'
import type { SamplerSettings } from './stepper.ts'

/** Inputs [R], and bias_ids and bias_values [R, 256]. A list of biases ends at its first negative id. */
export function samplerInputs(samplers: readonly SamplerSettings[]): Readonly<Record<string, ArrayLike<number>>> {
  const ids = new Int32Array(samplers.length * biasSlots).fill(-1)
  const values = new Float32Array(samplers.length * biasSlots)
  for (const [row, { logitBias }] of samplers.entries()) {
    for (const [i, [id, value]] of logitBias.entries()) {
      ids[row * biasSlots + i] = id
      values[row * biasSlots + i] = value
    }
  }
  return {
    temperature: samplers.map(({ temperature }) => temperature),
    top_k: samplers.map(({ topK }) => topK),
    top_p: samplers.map(({ topP }) => topP),
    min_p: samplers.map(({ minP }) => minP),
    seed: samplers.map(({ seed }) => seed >>> 0),
    repeat_penalty: samplers.map(({ repeatPenalty }) => repeatPenalty),
    repeat_last_n: samplers.map(({ repeatLastN }) => repeatLastN),
    generated_from: samplers.map(({ promptTokens }) => promptTokens),
    frequency_penalty: samplers.map(({ frequencyPenalty }) => frequencyPenalty),
    presence_penalty: samplers.map(({ presencePenalty }) => presencePenalty),
    bias_ids: ids,
    bias_values: values,
  }
}
