import { z } from 'zod'
import { defineFusedOp, staticDim } from '../../op.ts'
import { floatDtype, window } from '../attributes.ts'
import { kvRead } from '../model/kv-read.ts'
import { pvMatmul } from '../model/pv-matmul.ts'
import { qkMatmul } from '../model/qk-matmul.ts'
import { repeatKv } from '../model/repeat-kv.ts'
import { scaleMaskSoftmax } from './scale-mask-softmax.ts'

/** Dao et al., FlashAttention, 2022; split over L for decode: Flash-Decoding, 2023. */
export const attention = defineFusedOp('attention', {
  doc: 'softmax(mask(scale · q·Kᵀ)) · V over the paged cache of each request, scores never stored, K and V never repeated',
  operands: {
    q: 'float[T, H, C] queries, rotated',
    k_cache: 'state float[P, Hkv, page, C], H a multiple of Hkv',
    v_cache: 'state float[P, Hkv, page, C]',
    positions: 'i32[T] position of each query in its request',
    seq: 'i32[T] request of each query',
    page_table: 'i32[R, M] pages of each request',
  },
  attrs: z.strictObject({
    scale: z.number().describe('factor of the scores, usually 1/√C'),
    window,
    dtype: floatDtype.default('f32').describe('dtype of y'),
  }),
  expand({ q, k_cache, v_cache, positions, seq, page_table }, { scale, window, dtype }) {
    const groups = staticDim(q.type, 1) / staticDim(k_cache.type, 1)
    const k = repeatKv({ x: kvRead({ cache: k_cache, page_table }) }, { groups }) // [R, L, H, C]
    const v = repeatKv({ x: kvRead({ cache: v_cache, page_table }) }, { groups }) // [R, L, H, C]
    const p = scaleMaskSoftmax({ x: qkMatmul({ q, k, seq }), positions }, { by: scale, window }) // [T, H, L]
    return pvMatmul({ p, v, seq }, { dtype }) // [T, H, C]
  },
})
