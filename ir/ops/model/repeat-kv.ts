import { z } from 'zod'
import { defineOp, expectFloat, expectRank, staticDim } from '../../op.ts'
import { tensor } from '../../type.ts'

/** Grouped heads (Ainslie et al., GQA, 2023): a view, K and V are never copied. */
export const repeatKv = defineOp('repeat_kv', {
  doc: 'y[r,l,h,c] = x[r,l, h / groups, c]',
  operands: { x: 'float[R, L, Hkv, C]' },
  attrs: z.strictObject({ groups: z.int().positive().describe('query heads that share a key/value head') }),
  traits: ['view'],
  infer({ x }, { groups }) {
    expectFloat('x', x)
    expectRank('x', x, 4)
    return tensor(x.dtype, [x.shape[0]!, x.shape[1]!, staticDim(x, 2) * groups, x.shape[3]!])
  },
  reference({ x }, { groups }, context) {
    const [R, L, heads, C] = x.shape as [number, number, number, number]
    const data = context.floats(x.data.length * groups)
    for (let row = 0; row < R * L * heads * groups; row++) {
      const from = Math.floor(row / groups) * C
      data.set(x.data.subarray(from, from + C), row * C)
    }
    return { dtype: x.dtype, shape: [R, L, heads * groups, C], data }
  },
})
