import { z } from 'zod'
import { defineFusedOp } from '../../op.ts'
import { rmsNorm } from '../model/rms-norm.ts'
import { matmulSwiglu } from './matmul-swiglu.ts'

export const rmsNormMatmulSwiglu = defineFusedOp('rms_norm_matmul_swiglu', {
  doc: 'matmul_swiglu(rms_norm(x, norm), w): each block of the matmul norms the few rows of x itself',
  operands: {
    x: 'float[T, K]',
    norm: 'float[K] learned scale',
    w: 'any[2F, K]: the rows of gate, then the rows of up',
  },
  attrs: z.strictObject({ eps: z.number().positive().describe('added to the mean square: units of x²') }),
  traits: ['rowwise'],
  expand: ({ x, norm, w }, { eps }) => matmulSwiglu({ x: rmsNorm({ x, w: norm }, { eps }), w }),
})
