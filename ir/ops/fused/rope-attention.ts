import { z } from 'zod'
import { defineFusedOp, expect } from '../../op.ts'
import type { Value } from '../../value.ts'
import { floatDtype, ropeAttrs, window } from '../attributes.ts'
import { rmsNorm } from '../model/rms-norm.ts'
import { attention } from './attention.ts'
import { ropeKvAppend } from './rope-kv-append.ts'

export const ropeAttention = defineFusedOp('rope_attention', {
  doc: 'norms the heads of q and k where there are weights for it, rotates them, appends k and v to the cache, and attends: the rotated q is never stored',
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
  optional: {
    factors: 'f32[dims/2] divisors of the frequencies',
    q_norm: 'float[C] learned scale of an rms_norm of each head of q',
    k_norm: 'float[C] the same of k',
  },
  attrs: ropeAttrs.extend({
    scale: z.number().describe('factor of the scores, usually 1/√C'),
    window,
    dtype: floatDtype.default('f32').describe('dtype of y'),
    eps: z.number().positive().optional().describe('of the norms, where there are any'),
  }),
  results: ['y', 'k_cache', 'v_cache'],
  aliases: { k_cache: 'k_cache', v_cache: 'v_cache' },
  expand({ q_norm, k_norm, ...operands }, { scale, window, dtype, eps, ...turn }) {
    const { positions, seq, page_table } = operands
    expect((q_norm ?? k_norm) === undefined || eps !== undefined, 'eps of the norms is not given')
    const normed = (x: Value, w: Value | undefined) => (w ? rmsNorm({ x, w }, { eps: eps! }) : x)
    const heads = { q: normed(operands.q, q_norm), k: normed(operands.k, k_norm) } // [T, H, C], [T, Hkv, C]
    const appended = ropeKvAppend({ ...operands, ...heads }, turn) // q: [T, H, C]
    const y = attention({ ...appended, positions, seq, page_table }, { scale, window, dtype }) // [T, H, C]
    return { y, k_cache: appended.k_cache, v_cache: appended.v_cache }
  },
})
