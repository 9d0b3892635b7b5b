import { z } from 'zod'
import { mapRows } from '../../host-tensor.ts'
import { defineOp, dimAt, expectDtype, expectRank } from '../../op.ts'
import { tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'

export const embed = defineOp('embed', {
  doc: 'y[t,d] = table[ids[t], d]',
  operands: { ids: 'i32[T] token ids, each below V', table: 'any[V, D] learned rows' },
  attrs: z.strictObject({ dtype: floatDtype.default('f32').describe('dtype of y') }),
  infer({ ids, table }, { dtype }) {
    expectDtype('ids', ids, 'i32')
    expectRank('ids', ids, 1)
    expectRank('table', table, 2)
    return tensor(dtype, [dimAt(ids, 0), dimAt(table, 1)])
  },
  reference({ ids, table }, { dtype }, context) {
    const width = table.shape[1]!
    const rows = mapRows(
      { ...ids, shape: [ids.data.length, 1] },
      context,
      (id, out) => out.set(table.data.subarray(id[0]! * width, (id[0]! + 1) * width)),
      width,
    )
    return { ...rows, dtype }
  },
})
