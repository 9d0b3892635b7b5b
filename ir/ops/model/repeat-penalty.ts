import { z } from 'zod'
import { defineOp, expectDtype, expectFloat, expectIndices, expectRank, expectState, sameDim } from '../../op.ts'

/** Keskar et al., CTRL, 2019. The history is a paged cache of token ids, written like keys and values. */
export const repeatPenalty = defineOp('repeat_penalty', {
  doc: 'logits of tokens among the last `window` of the request are divided by penalty[r] if positive, else multiplied',
  operands: {
    logits: 'f32[R, V]',
    history: 'state i32[P, 1, page, 1] token ids by position',
    positions: 'i32[R] last position of each request',
    page_table: 'i32[R, M] pages of each request',
    penalty: 'f32[R], 1 = none',
  },
  attrs: z.strictObject({ window: z.int().positive().default(64).describe('tokens looked back') }),
  traits: ['rowwise'],
  infer({ logits, history, positions, page_table, penalty }) {
    expectFloat('logits', logits)
    expectRank('logits', logits, 2)
    expectState('history', history)
    expectDtype('history', history, 'i32')
    expectRank('history', history, 4)
    expectIndices('positions', positions)
    expectDtype('page_table', page_table, 'i32')
    expectRank('page_table', page_table, 2)
    expectDtype('penalty', penalty, 'f32')
    expectRank('penalty', penalty, 1)
    sameDim('R', [logits, 0], [positions, 0], [page_table, 0], [penalty, 0])
    return logits
  },
  reference({ logits, history, positions, page_table, penalty }, { window }, context) {
    const [R, V] = logits.shape as [number, number]
    const page = history.shape[2]!
    const data = context.floats(R * V)
    data.set(logits.data)
    for (let r = 0; r < R; r++) {
      const last = positions.data[r]!
      for (let p = Math.max(0, last - window + 1); p <= last; p++) {
        const token =
          history.data[page_table.data[r * page_table.shape[1]! + Math.floor(p / page)]! * page + (p % page)]!
        const logit = logits.data[r * V + token]!
        data[r * V + token] = logit > 0 ? logit / penalty.data[r]! : logit * penalty.data[r]!
      }
    }
    return { ...logits, data }
  },
})
