import { z } from 'zod'
import { storage } from '../../host-tensor.ts'
import { defineOp, expect, staticDim } from '../../op.ts'
import { tensor } from '../../type.ts'

export const slice = defineOp('slice', {
  doc: 'y[…,i] = x[…, from + i] for from ≤ from + i < to',
  operands: { x: 'any[…, N]' },
  attrs: z.strictObject({ from: z.int().nonnegative(), to: z.int().positive() }),
  traits: ['view'],
  infer({ x }, { from, to }) {
    expect(from < to && to <= staticDim(x, -1), `slice ${from}…${to} is outside 0…${staticDim(x, -1)}`)
    return tensor(x.dtype, [...x.shape.slice(0, -1), to - from])
  },
  reference({ x }, { from, to }) {
    const [columns, width] = [x.shape.at(-1)!, to - from]
    const rows = x.data.length / columns
    const data = storage(x.dtype, rows * width, x.data instanceof Float64Array)
    for (let r = 0; r < rows; r++) data.set(x.data.subarray(r * columns + from, r * columns + to), r * width)
    return { dtype: x.dtype, shape: [...x.shape.slice(0, -1), width], data }
  },
})
