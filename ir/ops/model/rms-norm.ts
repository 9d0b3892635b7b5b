import { z } from 'zod'
import { mapRows } from '../../host-tensor.ts'
import { defineOp, expectFloat, expectRank, sameDim } from '../../op.ts'

/** Zhang and Sennrich, Root Mean Square Layer Normalization, 2019. */
export const rmsNorm = defineOp('rms_norm', {
  doc: 'y[…,d] = x[…,d] · rsqrt(mean_d(x[…,:]²) + eps) · w[d]',
  operands: { x: 'float[…, D] activations', w: 'float[D] learned scale' },
  attrs: z.strictObject({ eps: z.number().positive().describe('added to the mean square: units of x²') }),
  traits: ['rowwise'],
  infer({ x, w }) {
    expectFloat('x', x)
    expectFloat('w', w)
    expectRank('w', w, 1)
    sameDim('D', [x, -1], [w, 0])
    return x
  },
  reference({ x, w }, { eps }, context) {
    return mapRows(x, context, (row, out) => {
      let sum = 0
      for (const v of row) sum += v * v
      const scale = 1 / Math.sqrt(sum / row.length + eps)
      for (let d = 0; d < row.length; d++) out[d] = row[d]! * scale * w.data[d]!
    })
  },
})
