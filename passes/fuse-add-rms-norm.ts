import { match, P } from 'ts-pattern'
import { addRmsNorm } from '../ir/ops/index.ts'
import { alike, rewritePass } from './rewrite.ts'

/** sum = add(a, b), y = rms_norm(sum, w)  ⇒  sum, y = add_rms_norm(a, b, w) */
export const fuseAddRmsNorm = rewritePass({
  name: 'fuse-add-rms-norm',
  doc: 'Saves one kernel and one read of a [T, D] activation.',
  numerics: 'rounding', // the sum is normalised before it is rounded to its dtype
  root: 'rms_norm',
  rule: (norm, rewriter) =>
    match(norm.in)
      .with(
        { x: P.select('sum', { op: 'add', in: { a: P.select('a'), b: P.select('b') } }), w: P.select('w') },
        ({ sum, a, b, w }) => {
          const place = rewriter.placeFor([sum, norm], [a, b, w])
          if (!alike(a, b) || !place) return null
          rewriter.standBefore(place)
          const fused = addRmsNorm({ a, b, w }, { eps: norm.attrs.eps as number }, norm.label)
          rewriter.replace(sum, fused.sum)
          return fused.y
        },
      )
      .otherwise(() => null),
})
