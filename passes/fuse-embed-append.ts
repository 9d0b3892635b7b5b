import { isMatching, match, P } from 'ts-pattern'
import { embedAppend } from '../ir/ops/index.ts'
import type { FloatType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

/**
 * y = embed(ids, table); history' = kv_append(history, reshape(ids))  ⇒  y, history' = embed_append(ids, table, history)
 */
export const fuseEmbedAppend = editPass(
  {
    name: 'fuse-embed-append',
    doc: 'Saves a kernel a step: who reads the id of a token also notes it down.',
    numerics: 'exact',
    root: 'embed',
  },
  (rewriter) => {
    for (const y of rewriter.valuesOf('embed'))
      match(y.in)
        .with({ ids: P.select('ids'), table: P.select('table') }, ({ ids, table }) => {
          const append = appendOf(ids, rewriter)
          if (append) fuse(rewriter, y, { ids, table }, append)
        })
        .otherwise(() => {})
  },
)

function fuse(rewriter: Rewriter, y: Value, embedded: { ids: Value; table: Value }, append: Value): void {
  const { cache: history, x: _, ...where } = append.in as Record<AppendOperand, Value>
  const operands = { ...embedded, history, ...where }
  const place = rewriter.placeFor([y, append], Object.values(operands))
  // what else reads the history as it was would have to come before the append, wherever that moves
  if (!place || history.uses !== 1) return
  rewriter.standBefore(place)
  const fused = embedAppend(operands, { dtype: y.attrs.dtype as FloatType }, y.label)
  rewriter.replace(y, fused.y)
  rewriter.replace(append, fused.history)
}

type AppendOperand = 'cache' | 'x' | 'positions' | 'seq' | 'page_table'

/** The append of the ids themselves, one a position. */
function appendOf(ids: Value, rewriter: Rewriter): Value | undefined {
  const appended = isMatching({ op: 'kv_append', in: { x: { op: 'reshape', in: { x: { id: ids.id } } } } })
  return rewriter
    .readersOf(ids.id)
    .flatMap((view) => rewriter.readersOf(view.id))
    .map((reader) => rewriter.value(reader.id))
    .find((value) => appended(value))
}
