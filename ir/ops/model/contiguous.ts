import { z } from 'zod'
import { defineOp, expect } from '../../op.ts'
import { isFloat, isQuant, printType, tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'

export const contiguous = defineOp('contiguous', {
  doc: 'y = x in row-major memory of its own, in another float dtype if asked',
  operands: { x: 'any[…], often a view' },
  attrs: z.strictObject({ dtype: floatDtype.optional().describe('dtype of y; absent: that of x') }),
  traits: ['elementwise'],
  infer({ x }, { dtype }) {
    expect(!isQuant(x.dtype), `x must not be quantised, is ${printType(x)}`)
    expect(!dtype || isFloat(x.dtype), `only floats change their dtype, x is ${printType(x)}`)
    return tensor(dtype ?? x.dtype, x.shape)
  },
  reference: ({ x }, { dtype }) => ({ ...x, dtype: dtype ?? x.dtype, data: x.data.slice() }),
})
