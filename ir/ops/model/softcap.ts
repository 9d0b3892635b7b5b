import { z } from 'zod'
import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

/** Soft capping of logits: Bello et al., 2016; used by Gemma 2. */
export const softcap = defineOp('softcap', {
  doc: 'y = cap · tanh(x / cap)',
  operands: { x: 'float[…]' },
  attrs: z.strictObject({ cap: z.number().positive().describe('bound of |y|') }),
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, { cap }, context) => mapElements(x, context, (v) => cap * Math.tanh(v / cap)),
})
