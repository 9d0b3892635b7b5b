import { match, P } from 'ts-pattern'
import type { RopeAttrs } from '../ir/ops/attributes.ts'
import { ropeKvAppend } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

/**
 * q' = rope(q), k_cache' = kv_append(k_cache, rope(k)), v_cache' = kv_append(v_cache, v)
 *   ⇒  q', k_cache', v_cache' = rope_kv_append(q, k, v, k_cache, v_cache)
 * The three belong together when they turn by the same positions and angles and write the same places. A graph has such a
 * triple per layer, all alike: partners are the nearest ones in the order.
 */
export const fuseRopeKvAppend = editPass(
  {
    name: 'fuse-rope-kv-append',
    doc: 'Saves three kernels a layer, and a write and a read of the rotated keys.',
    numerics: 'rounding', // the rotated k is rounded to the cache's dtype only
    root: 'rope',
  },
  (rewriter) => {
    const { queries, keys, values } = candidates(rewriter)
    for (const node of rewriter.nodes()) {
      if (!keys.has(node.id)) continue
      const append = rewriter.value(node.id)
      const rope = append.in.x!
      const q = queries.take(rope, turnsAlike(rope), rewriter)
      const v = values.take(append, writesAlike(append), rewriter)
      if (q && v) fuse(rewriter, q, append, v)
    }
  },
)

function fuse(rewriter: Rewriter, q: Value, append: Value, values: Value): void {
  const { cache, x: rope, positions, seq, page_table } = append.in as Record<string, Value>
  const operands = {
    q: q.in.x!,
    k: rope!.in.x!,
    v: values.in.x!,
    k_cache: cache!,
    v_cache: values.in.cache!,
    positions: positions!,
    seq: seq!,
    page_table: page_table!,
    factors: rope!.in.factors,
  }
  const place = rewriter.placeFor(
    [q, append, values],
    Object.values(operands).filter((value) => value !== undefined),
  )
  // what else reads a cache as it was would have to come before the append, wherever that moves
  if (!place || cache!.uses !== 1 || operands.v_cache.uses !== 1) return
  rewriter.standBefore(place)
  const fused = ropeKvAppend(operands, rope!.attrs as RopeAttrs, append.label)
  rewriter.replace(q, fused.q)
  rewriter.replace(append, fused.k_cache)
  rewriter.replace(values, fused.v_cache)
}

/** The parts of all triples: rotated queries, appends of rotated keys, appends of what is not rotated. */
function candidates(rewriter: Rewriter) {
  const [queries, values, keys] = [new Nearest(), new Nearest(), new Set<string>()]
  for (const value of rewriter.valuesOf('rope', 'kv_append'))
    match(value)
      .with({ op: 'rope' }, () => {
        const isAppended = rewriter.readersOf(value.id).some((reader) => reader.op === 'kv_append')
        if (!isAppended) queries.add(turnsAlike(value), value, rewriter)
      })
      .with({ op: 'kv_append', in: { x: P.select({ op: 'rope' }) } }, (rope) => {
        if (rope.uses === 1 && rope.in.positions!.id === value.in.positions!.id) keys.add(value.id)
      })
      .otherwise(() => values.add(writesAlike(value), value, rewriter))
  return { queries, keys, values }
}

/** Equal for ropes that turn by the same angles and have heads of one size and dtype. */
const turnsAlike = ({ in: { positions, factors }, attrs, type }: Value): string =>
  [positions!.id, factors?.id, JSON.stringify(attrs), type.dtype, type.shape[2]].join(' ')

/** Equal for appends to the same places of caches of one type. */
const writesAlike = ({ in: { x, positions, seq, page_table }, type }: Value): string =>
  [positions!.id, seq!.id, page_table!.id, type.dtype, type.shape, x!.type.dtype].join(' ')

/** Values by what makes them alike, each list in the order of the graph; a value is taken once. */
class Nearest {
  readonly #lists = new Map<string, { value: Value; position: number }[]>()

  add(key: string, value: Value, rewriter: Rewriter): void {
    const list = this.#lists.get(key) ?? []
    list.push({ value, position: rewriter.positionOf(value.id) })
    this.#lists.set(key, list)
  }

  take(near: Value, key: string, rewriter: Rewriter): Value | undefined {
    const list = this.#lists.get(key) ?? []
    const position = rewriter.positionOf(near.id)
    const after = list.findIndex((one) => one.position > position)
    const [i, j] = [after < 0 ? list.length - 1 : after - 1, after]
    const distance = (at: number) => (list[at] ? Math.abs(list[at].position - position) : Number.POSITIVE_INFINITY)
    const nearest = distance(i) <= distance(j) ? i : j
    return list[nearest] && list.splice(nearest, 1)[0]!.value
  }
}
