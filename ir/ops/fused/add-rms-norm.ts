import { z } from 'zod'
import { defineFusedOp } from '../../op.ts'
import { add } from '../model/add.ts'
import { rmsNorm } from '../model/rms-norm.ts'

export const addRmsNorm = defineFusedOp('add_rms_norm', {
  doc: 'sum = a + b; y = rms_norm(sum, w): the sum is stored once and normalised while it is in registers',
  operands: { a: 'float[…, D]', b: 'float[…, D]', w: 'float[D] learned scale' },
  attrs: z.strictObject({ eps: z.number().positive().describe('added to the mean square: units of x²') }),
  traits: ['rowwise'],
  results: ['sum', 'y'],
  expand({ a, b, w }, { eps }) {
    const sum = add({ a, b })
    return { sum, y: rmsNorm({ x: sum, w }, { eps }) }
  },
})
