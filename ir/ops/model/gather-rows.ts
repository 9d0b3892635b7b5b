import { storage } from '../../host-tensor.ts'
import { defineOp, dimAt, expect, expectDtype, expectRank } from '../../op.ts'
import { isQuant, printType, tensor } from '../../type.ts'

export const gatherRows = defineOp('gather_rows', {
  doc: 'y[r,…] = x[rows[r],…]',
  operands: { x: 'any[T, …]', rows: 'i32[R] indices below T' },
  infer({ x, rows }) {
    expectDtype('rows', rows, 'i32')
    expectRank('rows', rows, 1)
    expect(!isQuant(x.dtype), `x must not be quantised, is ${printType(x)}: use embed`)
    return tensor(x.dtype, [dimAt(rows, 0), ...x.shape.slice(1)])
  },
  reference({ x, rows }) {
    const width = x.data.length / Math.max(1, x.shape[0]!)
    const data = storage(x.dtype, rows.data.length * width, x.data instanceof Float64Array)
    for (const [r, row] of rows.data.entries()) data.set(x.data.subarray(row * width, (row + 1) * width), r * width)
    return { dtype: x.dtype, shape: [rows.data.length, ...x.shape.slice(1)], data }
  },
})
