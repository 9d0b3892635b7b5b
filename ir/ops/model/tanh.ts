import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

export const tanh = defineOp('tanh', {
  doc: 'y = tanh(x)',
  operands: { x: 'float[…]' },
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, _, context) => mapElements(x, context, (v) => Math.tanh(v)),
})
