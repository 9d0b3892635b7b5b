import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { broadcastType } from '../attributes.ts'

export const add = defineOp('add', {
  doc: 'y = a + b, b repeated over the first dims of a where it has fewer',
  operands: { a: 'float[…]', b: 'float[…] the shape of a, or of its last dims' },
  traits: ['elementwise'],
  infer: broadcastType,
  reference: ({ a, b }, _, context) => mapElements(a, context, (v, i) => v + b.data[i % b.data.length]!),
})
