import { z } from 'zod'
import { defineOp, dimAt, expect, expectFloat, expectRank, staticDim } from '../../op.ts'
import { tensor } from '../../type.ts'

export const topk = defineOp('topk', {
  doc: 'the k largest of each row in falling order, and their columns; of equals the lower column first, NaN last',
  operands: { x: 'float[R, V]' },
  attrs: z.strictObject({ k: z.int().positive().max(1024) }),
  traits: ['rowwise'],
  results: ['values', 'indices'],
  infer({ x }, { k }) {
    expectFloat('x', x)
    expectRank('x', x, 2)
    expect(k <= staticDim(x, 1), `k (${k}) must not exceed the ${staticDim(x, 1)} columns`)
    return { values: tensor('f32', [dimAt(x, 0), k]), indices: tensor('i32', [dimAt(x, 0), k]) }
  },
  reference({ x }, { k }, context) {
    const [R, V] = x.shape as [number, number]
    const values = context.floats(R * k)
    const indices = new Int32Array(R * k)
    const rank = (v: number) => (Number.isNaN(v) ? Number.NEGATIVE_INFINITY : v)
    for (let r = 0; r < R; r++) {
      const row = x.data.subarray(r * V, (r + 1) * V)
      const order = Array.from(row.keys()).sort((a, b) => {
        const [va, vb] = [rank(row[a]!), rank(row[b]!)]
        return va === vb ? a - b : vb - va
      })
      for (let i = 0; i < k; i++) {
        indices[r * k + i] = order[i]!
        values[r * k + i] = row[order[i]!]!
      }
    }
    return {
      values: { dtype: 'f32', shape: [R, k], data: values },
      indices: { dtype: 'i32', shape: [R, k], data: indices },
    }
  },
})
