import { mapRows } from '../../host-tensor.ts'
import { defineOp, dimAt } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

export const softmax = defineOp('softmax', {
  doc: 'y[…,l] = exp(x[…,l] − max) / Σ_l exp(x[…,l] − max); a row of −∞ alone gives NaN',
  operands: { x: 'float[…, L]' },
  traits: ['rowwise'],
  infer({ x }) {
    dimAt(x, -1)
    return sameAsX({ x })
  },
  reference({ x }, _, context) {
    return mapRows(x, context, (row, out) => {
      let max = Number.NEGATIVE_INFINITY
      for (const v of row) max = Math.max(max, v)
      let sum = 0
      for (const v of row) sum += Math.exp(v - max)
      for (let l = 0; l < row.length; l++) out[l] = Math.exp(row[l]! - max) / sum
    })
  },
})
