import { match, P } from 'ts-pattern'
import { scaleMaskSoftmax } from '../ir/ops/index.ts'
import { rewritePass } from './rewrite.ts'

/** softmax(causal_mask(scale(x, by), positions))  ⇒  scale_mask_softmax(x, positions) */
export const fuseScaleMaskSoftmax = rewritePass({
  name: 'fuse-scale-mask-softmax',
  doc: 'Saves two kernels and two writes and reads of the scores [T, H, L].',
  numerics: 'rounding', // scaled scores are no longer rounded to their dtype
  root: 'softmax',
  rule: (softmax) =>
    match(softmax.in)
      .with(
        {
          x: {
            op: 'causal_mask',
            uses: 1,
            in: { x: { op: 'scale', uses: 1, in: { x: P.select('x') } }, positions: P.select('positions') },
          },
        },
        ({ x, positions }) => {
          const mask = softmax.in.x!
          const by = mask.in.x!.attrs.by as number
          return scaleMaskSoftmax({ x, positions }, { by, window: mask.attrs.window as number | undefined })
        },
      )
      // unscaled scores, as after constant folding of a factor 1
      .with(
        { x: { op: 'causal_mask', uses: 1, in: { x: P.select('x'), positions: P.select('positions') } } },
        ({ x, positions }) =>
          scaleMaskSoftmax({ x, positions }, { by: 1, window: softmax.in.x!.attrs.window as number | undefined }),
      )
      .otherwise(() => null),
})
