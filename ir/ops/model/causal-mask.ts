import { z } from 'zod'
import { mapRows } from '../../host-tensor.ts'
import { defineOp, expectIndices, expectRank, sameDim } from '../../op.ts'
import { sameAsX, window } from '../attributes.ts'

export const causalMask = defineOp('causal_mask', {
  doc: 'y[t,h,l] = s[t,h,l] where positions[t] − window < l ≤ positions[t], else −∞',
  operands: { x: 'float[T, H, L] scores', positions: 'i32[T] position of each query in its request' },
  attrs: z.strictObject({ window }),
  traits: ['elementwise'],
  infer({ x, positions }) {
    expectRank('x', x, 3)
    expectIndices('positions', positions)
    sameDim('T', [x, 0], [positions, 0])
    return sameAsX({ x })
  },
  reference({ x, positions }, { window }, context) {
    const heads = x.shape[1]!
    return mapRows(x, context, (row, out, index) => {
      const position = positions.data[Math.floor(index / heads)]!
      const first = window === undefined ? 0 : Math.max(0, position - window + 1)
      for (let l = 0; l < row.length; l++) out[l] = l >= first && l <= position ? row[l]! : Number.NEGATIVE_INFINITY
    })
  },
})
