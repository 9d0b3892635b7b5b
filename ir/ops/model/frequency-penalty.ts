import { defineOp } from '../../op.ts'
import { countTokens, historyOperands, inferOverHistory } from './history.ts'

/** The two penalties of the OpenAI API, which knows them by these names. */
export const frequencyPenalty = defineOp('frequency_penalty', {
  doc:
    'y[r,v] = logits[r,v] − n·frequency[r] − (n > 0)·presence[r], n how often token v stands at positions from … positions[r]: ' +
    'in the text generated so far, where from is the length of the prompt',
  operands: {
    ...historyOperands,
    from: 'i32[R] first position that counts',
    frequency: 'f32[R], 0 = none',
    presence: 'f32[R], 0 = none',
  },
  traits: ['rowwise'],
  infer: ({ from, frequency, presence, ...over }) =>
    inferOverHistory(over, { from: ['i32', from], frequency: ['f32', frequency], presence: ['f32', presence] }),
  reference({ from, frequency, presence, ...over }, _, context) {
    const { logits } = over
    const [R, V] = logits.shape as [number, number]
    const data = context.floats(R * V)
    data.set(logits.data)
    for (let r = 0; r < R; r++) {
      const [each, once] = [frequency.data[r]!, presence.data[r]!]
      if (each === 0 && once === 0) continue
      for (const [token, n] of countTokens(over, r, from.data[r]!)) data[r * V + token]! -= n * each + once
    }
    return { ...logits, data }
  },
})
