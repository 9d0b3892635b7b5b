import { indexBelow, storage } from '../../host-tensor.ts'
import { defineOp, dimAt, expect, expectIndices } from '../../op.ts'
import { isQuant, printType, product, tensor } from '../../type.ts'

export const gatherRows = defineOp('gather_rows', {
  doc: 'y[r,…] = x[rows[r],…]',
  operands: { x: 'any[T, …]', rows: 'i32[R] indices below T' },
  gathers: ['x'],
  infer({ x, rows }) {
    expectIndices('rows', rows)
    dimAt(x, 0)
    expect(!isQuant(x.dtype), `x must not be quantised, is ${printType(x)}: use embed`)
    return tensor(x.dtype, [dimAt(rows, 0), ...x.shape.slice(1)])
  },
  reference({ x, rows }) {
    const width = product(x.shape.slice(1))
    const data = storage(x.dtype, rows.data.length * width, x.data instanceof Float64Array)
    for (const [r, index] of rows.data.entries()) {
      const row = indexBelow('row', index, x.shape[0]!)
      data.set(x.data.subarray(row * width, (row + 1) * width), r * width)
    }
    return { dtype: x.dtype, shape: [rows.data.length, ...x.shape.slice(1)], data }
  },
})
