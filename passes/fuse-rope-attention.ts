import type { RopeAttrs } from '../ir/ops/attributes.ts'
import { ropeAttention } from '../ir/ops/index.ts'
import type { FloatType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'

/**
 * q', k_cache', v_cache' = rope_kv_append(q, k, v, k_cache, v_cache); y = attention(q', k_cache', v_cache')
 *   ⇒  y, k_cache', v_cache' = rope_attention(q, k, v, k_cache, v_cache)
 * and where q or k are rms_norms of heads that nothing else reads, of what these read: the op norms them itself.
 * Only where the number of tokens is known: kernels take few tokens only. Others are expanded again.
 */
export const fuseRopeAttention = editPass(
  {
    name: 'fuse-rope-attention',
    doc: 'Saves a kernel a layer, one more for each norm of heads, and writes and reads of the queries.',
    numerics: 'rounding', // normed heads and the rotated q are not rounded
    root: 'attention',
  },
  (rewriter) => {
    for (const node of rewriter.nodes()) {
      if (node.op !== 'attention') continue
      const y = rewriter.value(node.id)
      const { q, k_cache, v_cache, ...where } = y.in as Record<string, Value>
      const append = rewriter.nodeOf(q!.id)
      if (append?.op !== 'rope_kv_append' || q!.id !== append.out[0] || q!.uses !== 1) continue
      if (k_cache!.id !== append.out[1] || v_cache!.id !== append.out[2]) continue
      if (['positions', 'seq', 'page_table'].some((name) => where[name]!.id !== append.in[name])) continue
      if (typeof q!.type.shape[0] !== 'number') continue
      const appended = Object.fromEntries(Object.entries(append.in).map(([name, id]) => [name, rewriter.value(id)]))
      const { operands, eps } = withNorms(appended)
      const place = rewriter.placeFor([y, k_cache!, v_cache!, q!], Object.values(operands))
      if (!place) continue
      rewriter.standBefore(place)
      const { theta, dims, style } = append.attrs as RopeAttrs
      const { scale, window, dtype } = node.attrs as { scale: number; window?: number; dtype: FloatType }
      const fused = ropeAttention(operands as never, { theta, dims, style, scale, window, dtype, eps }, node.label)
      rewriter.replace(k_cache!, fused.k_cache)
      rewriter.replace(v_cache!, fused.v_cache)
      rewriter.replace(y, fused.y)
    }
  },
)

/** What the norms of q and k read, in their place; norms of one op have one eps, that of the keys gives way. */
function withNorms(operands: Readonly<Record<string, Value>>) {
  const { q, k } = operands as { q: Value; k: Value }
  const isNorm = (x: Value) => x.op === 'rms_norm' && x.uses === 1
  const eps = [q, k].find(isNorm)?.attrs.eps as number | undefined
  const normOf = (name: 'q' | 'k', x: Value) =>
    isNorm(x) && x.attrs.eps === eps ? { [name]: x.in.x!, [`${name}_norm`]: x.in.w! } : {}
  return { operands: { ...operands, ...normOf('q', q), ...normOf('k', k) }, eps }
}
