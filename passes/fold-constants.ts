import { match, P } from 'ts-pattern'
import { opNamed } from '../ir/op.ts'
import { reshape, scale } from '../ir/ops/index.ts'
import { sameType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'

/**
 * scale(scale(x, a), b)   ⇒  scale(x, a·b)
 * scale(x, 1)             ⇒  x
 * reshape(reshape(x))     ⇒  reshape(x)
 * view or copy of x that has x's type and order  ⇒  x
 */
export const foldConstants = editPass(
  { name: 'fold-constants', doc: 'Saves kernels whose effect is known before the graph runs.', numerics: 'rounding' },
  (rewriter) => {
    for (const node of rewriter.nodes()) {
      const value = rewriter.value(node.id)
      const folded = fold(value)
      if (folded) rewriter.replace(value, folded)
    }
  },
)

function fold(value: Value): Value | null {
  const { x } = value.in
  if (!x || isIdentity(value, x)) return x ?? null
  return match({ op: value.op, x })
    .with({ op: 'scale', x: { op: 'scale', uses: 1 } }, () =>
      scale({ x: x.in.x! }, { by: (value.attrs.by as number) * (x.attrs.by as number) }),
    )
    .with({ op: 'reshape', x: { op: 'reshape' } }, () => reshape({ x: x.in.x! }, { shape: [...value.type.shape] }))
    .with(P._, () => null)
    .exhaustive()
}

/** The elements of x, in x's order: nothing happens. */
function isIdentity(value: Value, x: Value): boolean {
  const traits = value.op === 'input' || value.op === 'weight' ? [] : opNamed(value.op).traits
  if (value.op === 'scale') return value.attrs.by === 1
  if (value.op === 'transpose') return (value.attrs.perm as number[]).every((p, i) => p === i)
  if (value.op === 'repeat_kv') return value.attrs.groups === 1
  return (
    (traits.includes('view') || value.op === 'contiguous') && value.op !== 'repeat_kv' && sameType(value.type, x.type)
  )
}
