import { z } from 'zod'
import { defineOp, dimAt, expectFloat, expectIndices, expectRank, sameDim } from '../../op.ts'
import { tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'

export const pvMatmul = defineOp('pv_matmul', {
  doc: 'y[t,h,c] = Σ_l p[t,h,l] · v[seq[t],l,h,c]',
  operands: { p: 'float[T, H, L] weights of the values', v: 'float[R, L, H, C]', seq: 'i32[T] request of each token' },
  attrs: z.strictObject({ dtype: floatDtype.default('f32').describe('dtype of y') }),
  infer({ p, v, seq }, { dtype }) {
    expectFloat('p', p)
    expectFloat('v', v)
    expectRank('p', p, 3)
    expectRank('v', v, 4)
    expectIndices('seq', seq)
    sameDim('T', [p, 0], [seq, 0])
    sameDim('H', [p, 1], [v, 2])
    sameDim('L', [p, 2], [v, 1])
    return tensor(dtype, [dimAt(p, 0), dimAt(p, 1), dimAt(v, 3)])
  },
  reference({ p, v, seq }, { dtype }, context) {
    const [T, H, L] = p.shape as [number, number, number]
    const C = v.shape[3]!
    const data = context.floats(T * H * C)
    const sums = new Float64Array(C)
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        sums.fill(0)
        for (let l = 0; l < L; l++) {
          const weight = p.data[(t * H + h) * L + l]!
          if (weight === 0) continue // masked: the value there may be anything, even NaN
          const from = ((seq.data[t]! * L + l) * H + h) * C
          for (let c = 0; c < C; c++) sums[c]! += weight * v.data[from + c]!
        }
        data.set(sums, (t * H + h) * C)
      }
    }
    return { dtype, shape: [T, H, C], data }
  },
})
