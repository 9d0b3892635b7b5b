import { z } from 'zod'
import { defineOp } from '../../op.ts'
import { floatDtype } from '../attributes.ts'

export const contiguous = defineOp('contiguous', {
  doc: 'y = x in row-major memory of its own, in another float dtype if asked',
  operands: { x: 'any[…], often a view' },
  attrs: z.strictObject({ dtype: floatDtype.optional().describe('dtype of y; absent: that of x') }),
  traits: ['elementwise'],
  infer: ({ x }, { dtype }) => ({ dtype: dtype ?? x.dtype, shape: x.shape }),
  reference: ({ x }, { dtype }) => ({ ...x, dtype: dtype ?? x.dtype, data: x.data.slice() }),
})
