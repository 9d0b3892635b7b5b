import { match, P } from 'ts-pattern'
import { reshape, scale, slice, transpose } from '../ir/ops/index.ts'
import { sameType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'

/**
 * scale(x, 1), and views and copies that change nothing  ⇒  x
 * scale(scale(x, a), b)                                  ⇒  scale(x, a·b)
 * reshape(reshape(x)), slice(slice(x)), transpose(transpose(x))  ⇒  the same view of x
 */
export const foldConstants = editPass(
  {
    name: 'fold-constants',
    doc: 'Saves kernels whose effect is known before the graph runs.',
    numerics: 'rounding', // x · (a·b) instead of (x · a) · b
  },
  (rewriter) => {
    for (const node of rewriter.nodes()) {
      if (!foldable.has(node.op)) continue
      const value = rewriter.value(node.id)
      const folded = withoutEffect(value) ?? joined(value)
      if (folded) rewriter.replace(value, folded)
    }
  },
)

const foldable: ReadonlySet<string> = new Set(['scale', 'reshape', 'slice', 'transpose', 'repeat_kv', 'contiguous'])

/** x, where `value` is x in x's order. */
function withoutEffect(value: Value): Value | null {
  const x = value.in.x!
  const nothing = match(value.op)
    .with('scale', () => value.attrs.by === 1)
    .with('transpose', () => (value.attrs.perm as number[]).every((from, to) => from === to))
    .otherwise(() => sameType(value.type, x.type)) // the other ones change x only together with its type
  return nothing ? x : null
}

/** One op in place of two of a kind. */
function joined(value: Value): Value | null {
  const inner = value.in.x!
  if (inner.op !== value.op) return null
  const x = inner.in.x!
  const [first, second] = [inner.attrs, value.attrs]
  return match(value.op)
    .with('scale', () => {
      const by = (first.by as number) * (second.by as number)
      return inner.uses === 1 && isSafeFactor(by) ? scale({ x }, { by }) : null
    })
    .with('reshape', () => (sameType(value.type, x.type) ? x : reshape({ x }, { shape: [...value.type.shape] })))
    .with('slice', () => {
      const from = (first.from as number) + (second.from as number)
      return slice({ x }, { from, to: from + (second.to as number) - (second.from as number) })
    })
    .with('transpose', () => {
      const perm = (second.perm as number[]).map((dim) => (first.perm as number[])[dim]!)
      return perm.every((from, to) => from === to) ? x : transpose({ x }, { perm })
    })
    .with(P._, () => null)
    .exhaustive()
}

/** Kernels hold a factor as f32: a product that leaves its normal range would not act like its two factors. */
const isSafeFactor = (by: number): boolean => Math.abs(by) >= 2 ** -126 && Math.abs(by) < 2 ** 127
