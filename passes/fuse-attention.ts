import { attention } from '../ir/ops/index.ts'
import type { FloatType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { alike, rewritePass } from './rewrite.ts'

/**
 * pv_matmul(scale_mask_softmax(qk_matmul(q, K, seq), positions), V, seq)
 *   where K = kv_read(k_cache) and V = kv_read(v_cache), each seen through repeat_kv or not
 *   ⇒  attention(q, k_cache, v_cache, positions, seq, page_table)
 */
export const fuseAttention = rewritePass({
  name: 'fuse-attention',
  doc: 'Saves six kernels a layer, the scores [T, H, L] and the gathered keys and values [R, L, Hkv, C].',
  numerics: 'rounding', // sums in another order, online
  root: 'pv_matmul',
  rule(pv, rewriter) {
    const { p, v, seq } = pv.in as Record<string, Value>
    if (p!.op !== 'scale_mask_softmax' || p!.uses !== 1) return null
    const scores = p!.in.x!
    if (scores.op !== 'qk_matmul' || scores.uses !== 1 || scores.in.seq!.id !== seq!.id) return null
    const keys = cacheBehind(scores.in.k!)
    const values = cacheBehind(v!)
    if (!keys || !values || keys.table.id !== values.table.id || keys.groups !== values.groups) return null
    if (!alike(keys.cache, values.cache)) return null // one page size, one head size, one dtype
    // attention reads the caches later than kv_read did: no op may have updated them by then
    if (rewriter.isUpdated(keys.cache) || rewriter.isUpdated(values.cache)) return null
    return attention(
      {
        q: scores.in.q!,
        k_cache: keys.cache,
        v_cache: values.cache,
        positions: p!.in.positions!,
        seq: seq!,
        page_table: keys.table,
      },
      {
        scale: p!.attrs.by as number,
        window: p!.attrs.window as number | undefined,
        dtype: pv.attrs.dtype as FloatType,
      },
    )
  },
})

/** The cache that a value shows, and by how many query heads each of its heads is shared. */
function cacheBehind(value: Value): { cache: Value; table: Value; groups: number } | null {
  const repeated = value.op === 'repeat_kv'
  const read = repeated ? value.in.x! : value
  if (read.op !== 'kv_read' || value.uses !== 1 || read.uses !== 1) return null
  return { cache: read.in.cache!, table: read.in.page_table!, groups: repeated ? (value.attrs.groups as number) : 1 }
}
