import { z } from 'zod'
import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

export const scale = defineOp('scale', {
  doc: 'y = by · x',
  operands: { x: 'float[…]' },
  attrs: z.strictObject({ by: z.number().describe('factor') }),
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, { by }, context) => mapElements(x, context, (v) => v * by),
})
