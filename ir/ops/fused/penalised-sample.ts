import { defineFusedOp } from '../../op.ts'
import { frequencyPenalty } from '../model/frequency-penalty.ts'
import { historyOperands } from '../model/history.ts'
import { logitBias } from '../model/logit-bias.ts'
import { repeatPenalty } from '../model/repeat-penalty.ts'
import { sample } from '../model/sample.ts'

/** Logits, what changes them, and how one is drawn from them. */
export const penalisedOperands = {
  ...historyOperands,
  penalty: 'f32[R], 1 = none',
  window: 'i32[R] tokens that penalty looks back; negative: all',
  from: 'i32[R] first position that frequency and presence count',
  frequency: 'f32[R], 0 = none',
  presence: 'f32[R], 0 = none',
  ids: 'i32[R, B] tokens whose logits change; the list ends at its first negative one',
  values: 'f32[R, B] added to their logits',
  temperature: 'f32[R]',
  top_k: 'i32[R], 0 = off',
  top_p: 'f32[R], 1 = off',
  min_p: 'f32[R], 0 = off',
  seed: 'u32[R]',
} as const

export const penalisedSample = defineFusedOp('penalised_sample', {
  doc: 'sample(logit_bias(frequency_penalty(repeat_penalty(logits)))), where the changed logits are stored only if tokens are cut off',
  operands: penalisedOperands,
  traits: ['rowwise'],
  expand({ penalty, window, from, frequency, presence, ids, values, ...o }) {
    const { logits, history, positions, page_table, temperature, top_k, top_p, min_p, seed } = o
    const over = { history, positions, page_table }
    const repeated = repeatPenalty({ logits, ...over, penalty, window })
    const counted = frequencyPenalty({ logits: repeated, ...over, from, frequency, presence })
    const biased = logitBias({ logits: counted, ids, values })
    return sample({ logits: biased, temperature, top_k, top_p, min_p, seed, positions })
  },
})
