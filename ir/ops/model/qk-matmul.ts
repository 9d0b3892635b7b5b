import { defineOp, dimAt, expectFloat, expectIndices, expectRank, sameDim } from '../../op.ts'
import { tensor } from '../../type.ts'

export const qkMatmul = defineOp('qk_matmul', {
  doc: 's[t,h,l] = Σ_c q[t,h,c] · k[seq[t],l,h,c]',
  operands: { q: 'float[T, H, C]', k: 'float[R, L, H, C]', seq: 'i32[T] request of each token' },
  infer({ q, k, seq }) {
    expectFloat('q', q)
    expectFloat('k', k)
    expectRank('q', q, 3)
    expectRank('k', k, 4)
    expectIndices('seq', seq)
    sameDim('T', [q, 0], [seq, 0])
    sameDim('H', [q, 1], [k, 2])
    sameDim('C', [q, 2], [k, 3])
    return tensor('f32', [dimAt(q, 0), dimAt(q, 1), dimAt(k, 1)])
  },
  reference({ q, k, seq }, _, context) {
    const [T, H, C] = q.shape as [number, number, number]
    const L = k.shape[1]!
    const data = context.floats(T * H * L)
    for (let t = 0; t < T; t++) {
      for (let h = 0; h < H; h++) {
        for (let l = 0; l < L; l++) {
          const from = ((seq.data[t]! * L + l) * H + h) * C
          let sum = 0
          for (let c = 0, at = (t * H + h) * C; c < C; c++) sum += q.data[at + c]! * k.data[from + c]!
          data[(t * H + h) * L + l] = sum
        }
      }
    }
    return { dtype: 'f32', shape: [T, H, L], data }
  },
})
