import { z } from 'zod'
import { mapElements } from '../../host-tensor.ts'
import { defineOp, expectDtype } from '../../op.ts'

export const increment = defineOp('increment', {
  doc: 'y = x + by, for positions that advance on the device',
  operands: { x: 'i32[…]' },
  attrs: z.strictObject({ by: z.int().default(1) }),
  traits: ['elementwise'],
  infer({ x }) {
    expectDtype('x', x, 'i32')
    return x
  },
  reference: ({ x }, { by }, context) => mapElements(x, context, (v) => v + by),
})
