import { embedAppend } from '../ir/ops/index.ts'
import type { FloatType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass, type Rewriter } from './rewrite.ts'

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
    for (const node of rewriter.nodes()) {
      if (node.op !== 'embed') continue
      const y = rewriter.value(node.id)
      const { ids, table } = y.in as Record<'ids' | 'table', Value>
      const append = appendOf(ids, rewriter)
      if (!append) continue
      const { cache: history, x: _, ...where } = append.in as Record<AppendOperand, Value>
      const operands = { ids, table, history, ...where }
      const place = rewriter.placeFor([y, append], Object.values(operands))
      // what else reads the history as it was would have to come before the append, wherever that moves
      if (!place || history.uses !== 1) continue
      rewriter.standBefore(place)
      const fused = embedAppend(operands, { dtype: node.attrs.dtype as FloatType }, node.label)
      rewriter.replace(y, fused.y)
      rewriter.replace(append, fused.history)
    }
  },
)

type AppendOperand = 'cache' | 'x' | 'positions' | 'seq' | 'page_table'

/** The append of the ids themselves, one a position. */
function appendOf(ids: Value, rewriter: Rewriter): Value | undefined {
  for (const view of rewriter.readersOf(ids.id)) {
    if (view.op !== 'reshape') continue
    for (const append of rewriter.readersOf(view.id))
      if (append.op === 'kv_append' && append.in.x === view.id) return rewriter.value(append.id)
  }
  return undefined
}
