import { z } from 'zod'
import { storage } from '../../host-tensor.ts'
import { defineOp, expect } from '../../op.ts'
import { product, tensor } from '../../type.ts'

export const transpose = defineOp('transpose', {
  doc: 'y[i_perm[0], i_perm[1], …] = x[i_0, i_1, …]: dim j of y is dim perm[j] of x',
  operands: { x: 'any[…]' },
  attrs: z.strictObject({ perm: z.array(z.int().nonnegative()).describe('a permutation of the dims of x') }),
  traits: ['view'],
  infer({ x }, { perm }) {
    const valid = perm.length === x.shape.length && [...perm].sort((a, b) => a - b).every((p, i) => p === i)
    expect(valid, `perm [${perm.join(', ')}] is not a permutation of the ${x.shape.length} dims of x`)
    return tensor(
      x.dtype,
      perm.map((p) => x.shape[p]!),
    )
  },
  reference({ x }, { perm }) {
    const shape = perm.map((p) => x.shape[p]!)
    const strides = x.shape.map((_, i) => product(x.shape.slice(i + 1)))
    const data = storage(x.dtype, x.data.length, x.data instanceof Float64Array)
    for (let i = 0; i < data.length; i++) {
      let [rest, from] = [i, 0]
      for (let j = shape.length - 1; j >= 0; j--) {
        from += (rest % shape[j]!) * strides[perm[j]!]!
        rest = Math.floor(rest / shape[j]!)
      }
      data[i] = x.data[from]!
    }
    return { dtype: x.dtype, shape, data }
  },
})
