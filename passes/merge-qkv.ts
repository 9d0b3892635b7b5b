import type { Value } from '../ir/value.ts'
import { canMerge, matmulsOf, mergeMatmuls } from './merge-matmuls.ts'
import { editPass } from './rewrite.ts'
import type { Rewriter } from './rewriter.ts'

/**
 * q = matmul(x, wq), k = matmul(x, wk), v = matmul(x, wv)  ⇒  slices of matmul(x, concat_rows(wq, wk, wv))
 * Only for matmuls whose results all become attention heads (a reshape to [T, heads, C]).
 */
export const mergeQkv = editPass(
  {
    name: 'merge-qkv',
    doc: 'Saves two kernels a layer; one long matmul reaches more bandwidth than three short ones.',
    numerics: 'exact',
    root: 'matmul',
  },
  (rewriter) => {
    const done = new Set<string>()
    for (const node of rewriter.nodes()) {
      if (node.op !== 'matmul' || done.has(node.in.x!)) continue
      const x = rewriter.value(node.in.x!)
      done.add(x.id)
      const parts = matmulsOf(rewriter, x)
        .map((part) => rewriter.value(part.id))
        .filter((part) => becomesHeads(rewriter, part))
      if (parts.length !== 3 || !canMerge(parts)) continue
      const { columns } = mergeMatmuls(parts, scopeOf(parts[0]!, 'attn_qkv'))
      for (const [i, part] of parts.entries()) rewriter.replace(part, columns[i]!)
    }
  },
)

/** Labels as the model names its places: `blk.3.attn_q` → `blk.3.attn_qkv`. */
export const scopeOf = (value: Value, name: string): string | undefined => value.label?.replace(/[^.]*$/, name)

const becomesHeads = (rewriter: Rewriter, value: Value): boolean => {
  const readers = rewriter.readersOf(value.id)
  return (
    readers.length > 0 && readers.every((node) => node.op === 'reshape' && rewriter.typeOf(node.id).shape.length === 3)
  )
}
