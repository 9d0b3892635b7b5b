import { defineOp, expect, expectDtype, expectRank, expectState, sameDim } from '../../op.ts'
import { printType } from '../../type.ts'

/**
 * Paged cache: Kwon et al., PagedAttention, 2023. Position p of request r lies in page page_table[r, p / page], slot
 * p mod page. The cache is updated in place.
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
    const numbers = (dtype: string) => (dtype === 'i32' ? 'i32' : 'float')
    expect(numbers(cache.dtype) === numbers(x.dtype), `cache ${printType(cache)} cannot hold ${printType(x)}`)
    for (const [name, type] of [
      ['positions', positions],
      ['seq', seq],
      ['page_table', page_table],
    ] as const)
      expectDtype(name, type, 'i32')
    return cache
  },
  reference({ cache, x, positions, seq, page_table }) {
    const [heads, page, C] = [cache.shape[1]!, cache.shape[2]!, cache.shape[3]!]
    const perRequest = page_table.shape[1]!
    for (let t = 0; t < x.shape[0]!; t++) {
      const position = positions.data[t]!
      const at = page_table.data[seq.data[t]! * perRequest + Math.floor(position / page)]!
      for (let h = 0; h < heads; h++) {
        const from = (t * heads + h) * C
        cache.data.set(x.data.subarray(from, from + C), ((at * heads + h) * page + (position % page)) * C)
      }
    }
    return cache
  },
})
