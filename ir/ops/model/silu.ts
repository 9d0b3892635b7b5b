import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

export const silu = defineOp('silu', {
  doc: 'y = x / (1 + exp(−x))',
  operands: { x: 'float[…]' },
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, _, context) => mapElements(x, context, (v) => v / (1 + Math.exp(-v))),
})
