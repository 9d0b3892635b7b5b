import { defineFusedOp } from '../../op.ts'
import { mul } from '../model/mul.ts'
import { silu } from '../model/silu.ts'

/** Shazeer, GLU Variants Improve Transformer, 2020. */
export const swiglu = defineFusedOp('swiglu', {
  doc: 'silu(gate) · up, without storing silu(gate)',
  operands: { gate: 'float[…, F]', up: 'float[…, F]' },
  traits: ['elementwise'],
  expand: ({ gate, up }) => mul({ a: silu({ x: gate }), b: up }),
})
