import { z } from 'zod'
import { defineFusedOp } from '../../op.ts'
import { floatDtype } from '../attributes.ts'
import { matmul } from '../model/matmul.ts'
import { rmsNorm } from '../model/rms-norm.ts'

export const rmsNormMatmul = defineFusedOp('rms_norm_matmul', {
  doc: 'rms_norm(x, norm) · wᵀ + bias: each block of the matmul norms the few rows of x itself',
  operands: { x: 'float[T, K]', norm: 'float[K] learned scale', w: 'any[N, K]' },
  optional: { bias: 'float[N]' },
  attrs: z.strictObject({
    eps: z.number().positive().describe('added to the mean square: units of x²'),
    dtype: floatDtype.optional().describe('dtype of y; absent: that of x'),
  }),
  traits: ['rowwise'],
  expand: ({ x, norm, w, bias }, { eps, dtype }) => matmul({ x: rmsNorm({ x, w: norm }, { eps }), w, bias }, { dtype }),
})
