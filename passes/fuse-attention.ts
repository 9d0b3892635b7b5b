import { match, P } from 'ts-pattern'
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
  rule: (pv, rewriter) =>
    match(pv.in)
      .with(
        {
          p: P.select('shares', {
            op: 'scale_mask_softmax',
            uses: 1,
            in: {
              x: { op: 'qk_matmul', uses: 1, in: { q: P.select('q'), k: P.select('k'), seq: P.select('asked') } },
              positions: P.select('positions'),
            },
          }),
          v: P.select('v'),
          seq: P.select('seq'),
        },
        ({ shares, q, k, asked, positions, v, seq }) => {
          const [keys, values] = [cacheBehind(k), cacheBehind(v)]
          if (!keys || !values || asked.id !== seq.id) return null
          if (keys.table.id !== values.table.id || keys.groups !== values.groups) return null
          if (!alike(keys.cache, values.cache)) return null // one page size, one head size, one dtype
          // attention reads the caches later than kv_read did: no op may have updated them by then
          if (rewriter.isUpdated(keys.cache) || rewriter.isUpdated(values.cache)) return null
          const operands = { q, k_cache: keys.cache, v_cache: values.cache, positions, seq, page_table: keys.table }
          return attention(operands, {
            scale: shares.attrs.by as number,
            window: shares.attrs.window as number | undefined,
            dtype: pv.attrs.dtype as FloatType,
          })
        },
      )
      .otherwise(() => null),
})

const read = {
  op: 'kv_read',
  uses: 1,
  in: { cache: P.select('cache'), page_table: P.select('table') },
} as const

/** The cache that a value shows, and by how many query heads each of its heads is shared. */
const cacheBehind = (value: Value): { cache: Value; table: Value; groups: number } | null =>
  match(value)
    .with(read, (found) => ({ ...found, groups: 1 }))
    .with({ op: 'repeat_kv', uses: 1, in: { x: read } }, (found) => ({
      ...found,
      groups: value.attrs.groups as number,
    }))
    .otherwise(() => null)
