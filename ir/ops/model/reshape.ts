import { z } from 'zod'
import { defineOp, expect } from '../../op.ts'
import { bindShape, type Dim, printType, type TensorType, tensor } from '../../type.ts'
import { dim } from '../attributes.ts'

export const reshape = defineOp('reshape', {
  doc: 'the same elements in row-major order, under another shape',
  operands: { x: 'any[…]' },
  attrs: z.strictObject({ shape: z.array(dim).describe('the new shape; symbols must stand in x too') }),
  traits: ['view'],
  infer({ x }, { shape }) {
    expect(sameElements(x, shape), `${printType(x)} cannot be reshaped to [${shape.join(', ')}]`)
    return tensor(x.dtype, shape)
  },
  reference: ({ x }, { shape }, { bindings }) => ({ ...x, shape: bindShape(shape, bindings) }),
})

/** Equal products of the numbers, equal symbols. */
function sameElements(x: TensorType, shape: readonly Dim[]): boolean {
  const count = (dims: readonly Dim[]) => dims.reduce<number>((n, d) => (typeof d === 'number' ? n * d : n), 1)
  const symbols = (dims: readonly Dim[]) =>
    dims
      .filter((d) => typeof d === 'string')
      .sort()
      .join()
  return count(x.shape) === count(shape) && symbols(x.shape) === symbols(shape)
}
