import { defineFusedOp, staticDim } from '../../op.ts'
import { matmul } from '../model/matmul.ts'
import { slice } from '../model/slice.ts'
import { swiglu } from './swiglu.ts'

export const matmulSwiglu = defineFusedOp('matmul_swiglu', {
  doc: 'swiglu(x · wᵀ[:, 0…F], x · wᵀ[:, F…2F]): gate and up projections as one matmul with SwiGLU as its epilogue',
  operands: { x: 'float[T, K]', w: 'any[2F, K]: the rows of gate, then the rows of up' },
  traits: ['rowwise'],
  expand({ x, w }) {
    const both = matmul({ x, w }) // [T, 2F]
    const F = staticDim(w.type, 0) / 2
    return swiglu({ gate: slice({ x: both }, { from: 0, to: F }), up: slice({ x: both }, { from: F, to: 2 * F }) })
  },
})
