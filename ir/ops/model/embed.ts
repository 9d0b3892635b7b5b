import { z } from 'zod'
import { indexBelow, mapRows } from '../../host-tensor.ts'
import { defineOp, dimAt, expectIndices, expectRank, expectWeight } from '../../op.ts'
import { tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'
import { noToken } from './no-token.ts'

export const embedAttrs = z.strictObject({ dtype: floatDtype.default('f32').describe('dtype of y') })

export const embed = defineOp('embed', {
  doc: 'y[t,d] = table[ids[t], d]; 0 where ids[t] is −2³¹: no token',
  operands: { ids: 'i32[T] token ids, each below V, or −2³¹', table: 'any[V, D] learned rows' },
  attrs: embedAttrs,
  gathers: ['table'],
  infer({ ids, table }, { dtype }) {
    expectIndices('ids', ids)
    expectWeight('table', table)
    expectRank('table', table, 2)
    return tensor(dtype, [dimAt(ids, 0), dimAt(table, 1)])
  },
  reference({ ids, table }, { dtype }, context) {
    const width = table.shape[1]!
    const rows = mapRows(
      { ...ids, shape: [ids.data.length, 1] },
      context,
      (row, out) => {
        if (row[0] === noToken) return // zeroed storage
        const id = indexBelow('token', row[0]!, table.shape[0]!)
        out.set(table.data.subarray(id * width, (id + 1) * width))
      },
      width,
    )
    return { ...rows, dtype }
  },
})
