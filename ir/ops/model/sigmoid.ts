import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

export const sigmoid = defineOp('sigmoid', {
  doc: 'y = 1 / (1 + exp(−x))',
  operands: { x: 'float[…]' },
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, _, context) => mapElements(x, context, (v) => 1 / (1 + Math.exp(-v))),
})
