import { penalisedSample } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { rewritePass } from './rewrite.ts'

/** sample(logit_bias(frequency_penalty(repeat_penalty(logits))))  ⇒  penalised_sample(logits, …) */
export const fusePenalisedSample = rewritePass({
  name: 'fuse-penalised-sample',
  doc: 'Saves three kernels, and three writes and reads of the logits [R, V], of which few change, mostly none.',
  numerics: 'rounding', // logits that are changed twice are not rounded to their dtype in between
  root: 'sample',
  rule(draw) {
    const { logits: biased, positions, ...options } = draw.in as Record<SampleOperand, Value>
    if (biased.op !== 'logit_bias' || biased.uses !== 1) return null
    const { logits: counted, ids, values } = biased.in as Record<'logits' | 'ids' | 'values', Value>
    if (counted.op !== 'frequency_penalty' || counted.uses !== 1) return null
    const { logits: repeated, from, frequency, presence, ...over } = counted.in as Record<FrequencyOperand, Value>
    if (repeated.op !== 'repeat_penalty' || repeated.uses !== 1) return null
    const { logits, penalty, window, ...same } = repeated.in as Record<RepeatOperand, Value>
    const places = ['history', 'positions', 'page_table'] as const
    if (places.some((name) => over[name].id !== same[name].id) || over.positions.id !== positions.id) return null
    const operands = {
      ...{ logits, ...over, penalty, window, from, frequency, presence, ids, values },
      ...(options as Record<'temperature' | 'top_k' | 'top_p' | 'min_p' | 'seed', Value>),
    }
    return penalisedSample(operands, {}, draw.label)
  },
})

type SampleOperand = 'logits' | 'positions' | 'temperature' | 'top_k' | 'top_p' | 'min_p' | 'seed'
type Over = 'logits' | 'history' | 'positions' | 'page_table'
type FrequencyOperand = Over | 'from' | 'frequency' | 'presence'
type RepeatOperand = Over | 'penalty' | 'window'
