import { defineOp, expect, expectDtype, expectFloat, expectRank, sameDim } from '../../op.ts'

export const logitBias = defineOp('logit_bias', {
  doc: 'y = logits, values[r,i] added to the logit of token ids[r,i]; the list of a request ends at its first negative id',
  operands: {
    logits: 'float[R, V]',
    ids: 'i32[R, B] tokens; those from V on are passed over',
    values: 'f32[R, B]',
  },
  traits: ['rowwise'],
  infer({ logits, ids, values }) {
    expectFloat('logits', logits)
    expectDtype('ids', ids, 'i32')
    expectDtype('values', values, 'f32')
    for (const [name, type] of Object.entries({ logits, ids, values })) expectRank(name, type, 2)
    sameDim('R', [logits, 0], [ids, 0], [values, 0])
    sameDim('B', [ids, 1], [values, 1])
    expect(typeof ids.shape[1] === 'number', 'the length of ids must be known')
    return logits
  },
  reference({ logits, ids, values }, _, context) {
    const [R, V] = logits.shape as [number, number]
    const B = ids.shape[1]!
    const data = context.floats(R * V)
    data.set(logits.data)
    for (let r = 0; r < R; r++) {
      for (let i = r * B; i < (r + 1) * B && ids.data[i]! >= 0; i++)
        if (ids.data[i]! < V) data[r * V + ids.data[i]!]! += values.data[i]!
    }
    return { ...logits, data }
  },
})
