import { defineFusedOp } from '../../op.ts'
import { ropeAttrs } from '../attributes.ts'
import { kvAppend } from '../model/kv-append.ts'
import { rope } from '../model/rope.ts'

export const ropeKvAppend = defineFusedOp('rope_kv_append', {
  doc: 'rotates q and k, appends k and v to the cache: the rotated k is never stored elsewhere',
  operands: {
    q: 'float[T, H, C]',
    k: 'float[T, Hkv, C]',
    v: 'float[T, Hkv, C]',
    k_cache: 'state float[P, Hkv, page, C]',
    v_cache: 'state float[P, Hkv, page, C]',
    positions: 'i32[T] position of each token in its request',
    seq: 'i32[T] request of each token',
    page_table: 'i32[R, M] pages of each request',
  },
  optional: { factors: 'f32[dims/2] divisors of the frequencies' },
  attrs: ropeAttrs,
  results: ['q', 'k_cache', 'v_cache'],
  aliases: { k_cache: 'k_cache', v_cache: 'v_cache' },
  expand({ q, k, v, k_cache, v_cache, positions, seq, page_table, factors }, attrs) {
    const where = { positions, seq, page_table }
    return {
      q: rope({ x: q, positions, factors }, attrs),
      k_cache: kvAppend({ cache: k_cache, x: rope({ x: k, positions, factors }, attrs), ...where }),
      v_cache: kvAppend({ cache: v_cache, x: v, ...where }),
    }
  },
})
