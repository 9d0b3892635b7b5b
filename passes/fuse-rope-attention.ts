import { isMatching, match, P } from 'ts-pattern'
import type { RopeAttrs } from '../ir/ops/attributes.ts'
import { ropeAttention } from '../ir/ops/index.ts'
import type { FloatType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

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
    for (const y of rewriter.valuesOf('attention'))
      match(y.in)
        .with(
          {
            q: P.select('q', { op: 'rope_kv_append', index: 0, uses: 1, type: { shape: [P.number, ...P.array()] } }),
            k_cache: P.select('k_cache', { op: 'rope_kv_append', index: 1 }),
            v_cache: P.select('v_cache', { op: 'rope_kv_append', index: 2 }),
          },
          (appended) => fuse(rewriter, y, appended),
        )
        .otherwise(() => {})
  },
)

function fuse(rewriter: Rewriter, y: Value, appended: { q: Value; k_cache: Value; v_cache: Value }): void {
  const { q, k_cache, v_cache } = appended
  const append = rewriter.nodeOf(q.id)!
  if (rewriter.nodeOf(k_cache.id) !== append || rewriter.nodeOf(v_cache.id) !== append) return
  if (['positions', 'seq', 'page_table'].some((name) => y.in[name]!.id !== append.in[name])) return
  const { operands, eps } = withNorms(q.in)
  const place = rewriter.placeFor([y, k_cache, v_cache, q], Object.values(operands))
  if (!place) return
  rewriter.standBefore(place)
  const { scale, window, dtype } = y.attrs as { scale: number; window?: number; dtype: FloatType }
  const fused = ropeAttention(operands as never, { ...(append.attrs as RopeAttrs), scale, window, dtype, eps }, y.label)
  rewriter.replace(k_cache, fused.k_cache)
  rewriter.replace(v_cache, fused.v_cache)
  rewriter.replace(y, fused.y)
}

const isNorm = isMatching({ op: 'rms_norm', uses: 1 })

/** What the norms of q and k read, in their place; norms of one op have one eps, that of the keys gives way. */
function withNorms(operands: Readonly<Record<string, Value>>) {
  const { q, k } = operands as { q: Value; k: Value }
  const eps = [q, k].find((x) => isNorm(x))?.attrs.eps as number | undefined
  const normOf = (name: 'q' | 'k', x: Value) =>
    isNorm(x) && x.attrs.eps === eps ? { [name]: x.in.x!, [`${name}_norm`]: x.in.w! } : {}
  return { operands: { ...operands, ...normOf('q', q), ...normOf('k', k) }, eps }
}
