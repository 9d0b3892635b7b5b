import { defineOp } from '../../op.ts'
import { countTokens, historyOperands, inferOverHistory } from './history.ts'

/** Keskar et al., CTRL, 2019. */
export const repeatPenalty = defineOp('repeat_penalty', {
  doc:
    'logits of tokens among the last window[r] of the request, prompt included, are divided by penalty[r] if positive, ' +
    'else multiplied',
  operands: {
    ...historyOperands,
    penalty: 'f32[R], 1 = none',
    window: 'i32[R] tokens looked back, that at the last position included; 0: none, negative: all',
  },
  traits: ['rowwise'],
  infer: ({ penalty, window, ...over }) =>
    inferOverHistory(over, { penalty: ['f32', penalty], window: ['i32', window] }),
  reference({ penalty, window, ...over }, _, context) {
    const { logits, positions } = over
    const [R, V] = logits.shape as [number, number]
    const data = context.floats(R * V)
    data.set(logits.data)
    for (let r = 0; r < R; r++) {
      const [factor, back] = [penalty.data[r]!, window.data[r]!]
      if (factor === 1 || back === 0) continue
      for (const token of countTokens(over, r, back < 0 ? 0 : positions.data[r]! - back + 1).keys()) {
        const logit = logits.data[r * V + token]!
        data[r * V + token] = logit > 0 ? logit / factor : logit * factor
      }
    }
    return { ...logits, data }
  },
})
