import { asKept } from '../../cache-values.ts'
import { indexBelow } from '../../host-tensor.ts'
import { defineOp, expect, expectDtype, expectIndices, expectRank, expectState, sameDim } from '../../op.ts'
import { isCache, isFloat, printType } from '../../type.ts'

/**
 * Paged cache: Kwon et al., PagedAttention, 2023. Position p of request r lies in page page_table[r, p / page], slot
 * p mod page. The cache is updated in place. A token without a place (request, position or page negative) is not appended.
 * Of 8-bit caches (f8_e4m3, q8_0) even the reference rounds: what is read back is what a kernel would have kept.
 */
export const kvAppend = defineOp('kv_append', {
  doc: 'cache[page_table[seq[t], positions[t] / page], h, positions[t] mod page, c] = x[t,h,c]',
  operands: {
    cache: 'state any[P, Hkv, page, C]',
    x: 'any[T, Hkv, C] keys, values or token ids of this step',
    positions: 'i32[T] position of each token in its request',
    seq: 'i32[T] request of each token, below R',
    page_table: 'i32[R, M] pages of each request',
  },
  aliases: { y: 'cache' },
  infer({ cache, x, positions, seq, page_table }) {
    expectState('cache', cache)
    expectRank('cache', cache, 4)
    expectRank('x', x, 3)
    sameDim('Hkv', [cache, 1], [x, 1])
    sameDim('C', [cache, 3], [x, 2])
    sameDim('T', [x, 0], [positions, 0], [seq, 0])
    const fits = (isCache(cache.dtype) && isFloat(x.dtype)) || (cache.dtype === 'i32' && x.dtype === 'i32')
    expect(fits, `cache ${printType(cache)} cannot hold ${printType(x)}`)
    expectIndices('positions', positions)
    expectIndices('seq', seq)
    expectDtype('page_table', page_table, 'i32')
    expectRank('page_table', page_table, 2)
    return cache
  },
  reference({ cache, x, positions, seq, page_table }) {
    const [heads, page, C] = [cache.shape[1]!, cache.shape[2]!, cache.shape[3]!]
    const perRequest = page_table.shape[1]!
    const kept = asKept(cache.dtype, x.data)
    for (let t = 0; t < x.shape[0]!; t++) {
      const [position, request] = [positions.data[t]!, seq.data[t]!]
      if (request < 0 || position < 0) continue
      const slot = indexBelow('page of position', Math.floor(position / page), perRequest)
      const at = page_table.data[indexBelow('request', request, page_table.shape[0]!) * perRequest + slot]!
      if (at < 0) continue
      indexBelow('page', at, cache.shape[0]!)
      for (let h = 0; h < heads; h++) {
        const from = (t * heads + h) * C
        cache.data.set(kept.subarray(from, from + C), ((at * heads + h) * page + (position % page)) * C)
      }
    }
    return cache
  },
})
