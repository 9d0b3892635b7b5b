import { defineOp, dimAt, expectFloat, expectRank } from '../../op.ts'
import { tensor } from '../../type.ts'
import { noToken } from './no-token.ts'

export const argmax = defineOp('argmax', {
  doc: 'i[r] = the first column where x[r,:] is largest; NaN counts as −∞; −2³¹ where that leaves −∞ alone',
  operands: { x: 'float[R, V]' },
  traits: ['rowwise'],
  infer({ x }) {
    expectFloat('x', x)
    expectRank('x', x, 2)
    return tensor('i32', [dimAt(x, 0)])
  },
  reference({ x }) {
    const [R, V] = x.shape as [number, number]
    const data = new Int32Array(R).fill(noToken)
    for (let r = 0; r < R; r++) {
      let best = Number.NEGATIVE_INFINITY
      for (let v = 0; v < V; v++) {
        if (x.data[r * V + v]! > best) [best, data[r]] = [x.data[r * V + v]!, v]
      }
    }
    return { dtype: 'i32', shape: [R], data }
  },
})
