import { z } from 'zod'
import { defineFusedOp } from '../../op.ts'
import { floatDtype, ropeAttrs, window } from '../attributes.ts'
import { attention } from './attention.ts'
import { ropeKvAppend } from './rope-kv-append.ts'

export const ropeAttention = defineFusedOp('rope_attention', {
  doc: 'rotates q and k, appends k and v to the cache, and attends: the rotated q is never stored',
  operands: {
    q: 'float[T, H, C]',
    k: 'float[T, Hkv, C]',
    v: 'float[T, Hkv, C]',
    k_cache: 'state float[P, Hkv, page, C], H a multiple of Hkv',
    v_cache: 'state float[P, Hkv, page, C]',
    positions: 'i32[T] position of each token in its request',
    seq: 'i32[T] request of each token',
    page_table: 'i32[R, M] pages of each request',
  },
  optional: { factors: 'f32[dims/2] divisors of the frequencies' },
  attrs: ropeAttrs.extend({
    scale: z.number().describe('factor of the scores, usually 1/√C'),
    window,
    dtype: floatDtype.default('f32').describe('dtype of y'),
  }),
  results: ['y', 'k_cache', 'v_cache'],
  aliases: { k_cache: 'k_cache', v_cache: 'v_cache' },
  expand(operands, { theta, dims, style, scale, window, dtype }) {
    const { positions, seq, page_table } = operands
    const appended = ropeKvAppend(operands, { theta, dims, style }) // q: [T, H, C]
    const y = attention({ ...appended, positions, seq, page_table }, { scale, window, dtype }) // [T, H, C]
    return { y, k_cache: appended.k_cache, v_cache: appended.v_cache }
  },
})
