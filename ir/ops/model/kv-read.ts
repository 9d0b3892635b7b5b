import { z } from 'zod'
import { defineOp, dimAt, expectCache, expectDtype, expectRank, expectState } from '../../op.ts'
import { bindDim, tensor } from '../../type.ts'
import { floatDtype } from '../attributes.ts'

export const kvRead = defineOp('kv_read', {
  doc: 'y[r,l,h,c] = cache[page_table[r, l / page], h, l mod page, c]: the pages of each request in order',
  operands: { cache: 'state float[P, Hkv, page, C]', page_table: 'i32[R, M] pages of each request' },
  attrs: z.strictObject({ dtype: floatDtype.default('f32').describe('dtype of y') }),
  infer({ cache, page_table }, { dtype }) {
    expectState('cache', cache)
    expectRank('cache', cache, 4)
    expectCache('cache', cache)
    expectDtype('page_table', page_table, 'i32')
    expectRank('page_table', page_table, 2)
    return tensor(dtype, [dimAt(page_table, 0), 'L', dimAt(cache, 1), dimAt(cache, 3)])
  },
  reference({ cache, page_table }, { dtype }, context) {
    const [heads, page, C] = [cache.shape[1]!, cache.shape[2]!, cache.shape[3]!]
    const [R, perRequest] = [page_table.shape[0]!, page_table.shape[1]!]
    const L = bindDim('L', context.bindings)
    const data = context.floats(R * L * heads * C)
    for (let r = 0; r < R; r++) {
      for (let l = 0; l < L; l++) {
        const at = l < perRequest * page ? page_table.data[r * perRequest + Math.floor(l / page)]! : -1
        if (at < 0) continue // a shorter request has no page here; its positions are masked
        for (let h = 0; h < heads; h++) {
          const from = ((at * heads + h) * page + (l % page)) * C
          data.set(cache.data.subarray(from, from + C), ((r * L + l) * heads + h) * C)
        }
      }
    }
    return { dtype, shape: [R, L, heads, C], data }
  },
})
