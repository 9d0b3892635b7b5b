import { z } from 'zod'
import { defineFusedOp } from '../../op.ts'
import { window } from '../attributes.ts'
import { causalMask } from '../model/causal-mask.ts'
import { scale } from '../model/scale.ts'
import { softmax } from '../model/softmax.ts'

/** Online maximum and sum: Milakov and Gimelshein, Online normalizer calculation for softmax, 2018. */
export const scaleMaskSoftmax = defineFusedOp('scale_mask_softmax', {
  doc: 'softmax(causal_mask(by · x, positions)), each row read once',
  operands: { x: 'float[T, H, L] scores', positions: 'i32[T]' },
  attrs: z.strictObject({ by: z.number().describe('factor'), window }),
  traits: ['rowwise'],
  expand: ({ x, positions }, { by, window }) =>
    softmax({ x: causalMask({ x: scale({ x }, { by }), positions }, { window }) }),
})
