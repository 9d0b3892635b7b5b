import { z } from 'zod'
import { defineOp, dimAt, expectFloat, expectRank, expectWeight, sameDim } from '../../op.ts'
import { tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'

export const matmul = defineOp('matmul', {
  doc: 'y[t,n] = Σ_k x[t,k] · w[n,k] + bias[n]',
  operands: { x: 'float[T, K] activations', w: 'any[N, K] weights as checkpoints store them: [out, in]' },
  optional: { bias: 'float[N]' },
  attrs: z.strictObject({ dtype: floatDtype.optional().describe('dtype of y; absent: that of x') }),
  traits: ['rowwise'],
  infer({ x, w, bias }, { dtype }) {
    expectFloat('x', x)
    expectRank('x', x, 2)
    expectRank('w', w, 2)
    expectWeight('w', w)
    sameDim('K', [x, 1], [w, 1])
    if (bias) {
      expectFloat('bias', bias)
      expectRank('bias', bias, 1)
      sameDim('N', [w, 0], [bias, 0])
    }
    return tensor(dtype ?? x.dtype, [dimAt(x, 0), dimAt(w, 0)])
  },
  reference({ x, w, bias }, { dtype }, context) {
    const [T, K, N] = [x.shape[0]!, x.shape[1]!, w.shape[0]!]
    const data = context.floats(T * N)
    for (let n = 0; n < N; n++) {
      const start = n * K
      const shift = bias ? bias.data[n]! : 0
      for (let t = 0; t < T; t++) {
        let sum = 0
        for (let k = 0, at = t * K; k < K; k++) sum += x.data[at + k]! * w.data[start + k]!
        data[t * N + n] = sum + shift
      }
    }
    return { dtype: dtype ?? x.dtype, shape: [T, N], data }
  },
})
