import type { Node } from '../ir/graph.ts'
import type { RopeAttrs } from '../ir/ops/attributes.ts'
import { ropeKvAppend } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { editPass, type Rewriter } from './rewrite.ts'

/**
 * q' = rope(q), k_cache' = kv_append(k_cache, rope(k)), v_cache' = kv_append(v_cache, v)
 *   ⇒  q', k_cache', v_cache' = rope_kv_append(q, k, v, k_cache, v_cache)
 * The three belong together when they turn by the same positions and angles and write the same places.
 */
export const fuseRopeKvAppend = editPass(
  {
    name: 'fuse-rope-kv-append',
    doc: 'Saves three kernels a layer, and a write and a read of the rotated keys.',
    numerics: 'rounding', // the rotated k is rounded to the cache's dtype only
  },
  (rewriter) => {
    const taken = new Set<string>()
    for (const node of rewriter.nodes()) {
      if (node.op !== 'kv_append' || taken.has(node.id)) continue
      const append = rewriter.value(node.id)
      const { cache: k_cache, x, positions, seq, page_table } = append.in as Record<string, Value>
      if (x!.op !== 'rope' || x!.uses !== 1 || !sameId(x!.in.positions, positions)) continue
      const q = otherRope(rewriter, x!)
      const values = valueAppend(rewriter, node, append)
      if (!q || !values || taken.has(values.id)) continue
      const fused = ropeKvAppend(
        {
          q: q.in.x!,
          k: x!.in.x!,
          v: values.in.x!,
          k_cache: k_cache!,
          v_cache: values.in.cache!,
          positions: positions!,
          seq: seq!,
          page_table: page_table!,
          factors: x!.in.factors,
        },
        x!.attrs as RopeAttrs,
        node.label,
      )
      taken.add(values.id)
      rewriter.replace(q, fused.q)
      rewriter.replace(append, fused.k_cache)
      rewriter.replace(values, fused.v_cache)
    }
  },
)

const sameId = (a: Value | undefined, b: Value | undefined): boolean => a?.id === b?.id

/** The rope of the queries: the same positions, factors and angles as that of the keys, not appended itself. */
function otherRope(rewriter: Rewriter, keys: Value): Value | undefined {
  return rewriter
    .readersOf(keys.in.positions!.id)
    .filter((node) => node.op === 'rope' && node.id !== keys.id)
    .map((node) => rewriter.value(node.id))
    .find(
      (rope) =>
        sameId(rope.in.factors, keys.in.factors) &&
        JSON.stringify(rope.attrs) === JSON.stringify(keys.attrs) &&
        !rewriter.readersOf(rope.id).some((reader) => reader.op === 'kv_append') &&
        rope.type.dtype === keys.type.dtype &&
        layerOf(rope) === layerOf(keys),
    )
}

/** `blk.3` of `blk.3.attn_q`: ropes of different layers share positions and angles. */
const layerOf = (value: Value): string | undefined => /^(.*)\.[^.]*$/.exec(value.label ?? '')?.[1]

/** The append of the values that goes with one of keys: the next append to the same places that rotates nothing. */
function valueAppend(rewriter: Rewriter, keys: Node, append: Value): Value | undefined {
  const from = rewriter.positionOf(keys.id)
  return rewriter
    .readersOf(keys.in.page_table!)
    .filter((node) => node.op === 'kv_append' && node.id !== keys.id)
    .map((node) => rewriter.value(node.id))
    .filter(
      ({ in: o, type }) =>
        o.x!.op !== 'rope' &&
        sameId(o.positions, append.in.positions) &&
        sameId(o.seq, append.in.seq) &&
        type.dtype === append.type.dtype &&
        String(type.shape) === String(append.type.shape) &&
        o.x!.type.dtype === append.in.x!.type.dtype,
    )
    .filter((value) => rewriter.positionOf(value.id) > from)
    .sort((a, b) => rewriter.positionOf(a.id) - rewriter.positionOf(b.id))[0]
}
