import { z } from 'zod'
import { mapRows } from '../../host-tensor.ts'
import { defineOp, expectFloat, expectRank, sameDim } from '../../op.ts'

/** Ba, Kiros and Hinton, Layer Normalization, 2016. */
export const layerNorm = defineOp('layer_norm', {
  doc: 'y[…,d] = (x[…,d] − mean) · rsqrt(var + eps) · w[d] + bias[d], mean and variance over d',
  operands: { x: 'float[…, D] activations', w: 'float[D] learned scale' },
  optional: { bias: 'float[D] learned shift' },
  attrs: z.strictObject({ eps: z.number().positive().describe('added to the variance: units of x²') }),
  traits: ['rowwise'],
  infer({ x, w, bias }) {
    expectFloat('x', x)
    for (const [name, p] of [
      ['w', w],
      ['bias', bias],
    ] as const) {
      if (!p) continue
      expectFloat(name, p)
      expectRank(name, p, 1)
      sameDim('D', [x, -1], [p, 0])
    }
    return x
  },
  reference({ x, w, bias }, { eps }, context) {
    return mapRows(x, context, (row, out) => {
      let sum = 0
      for (const v of row) sum += v
      const mean = sum / row.length
      let squares = 0
      for (const v of row) squares += (v - mean) ** 2
      const scale = 1 / Math.sqrt(squares / row.length + eps)
      for (let d = 0; d < row.length; d++) out[d] = (row[d]! - mean) * scale * w.data[d]! + (bias?.data[d] ?? 0)
    })
  },
})
