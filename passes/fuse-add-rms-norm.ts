import { addRmsNorm } from '../ir/ops/index.ts'
import { rewritePass } from './rewrite.ts'

/** sum = add(a, b), y = rms_norm(sum, w)  ⇒  sum, y = add_rms_norm(a, b, w) */
export const fuseAddRmsNorm = rewritePass({
  name: 'fuse-add-rms-norm',
  doc: 'Saves one kernel and one read of a [T, D] activation.',
  numerics: 'rounding', // the sum is normalised before it is rounded to its dtype
  root: 'rms_norm',
  rule(norm, rewriter) {
    const sum = norm.in.x!
    const { a, b } = sum.in
    if (sum.op !== 'add' || String(a!.type.shape) !== String(b!.type.shape) || a!.type.dtype !== b!.type.dtype)
      return null
    const fused = addRmsNorm({ a: a!, b: b!, w: norm.in.w! }, { eps: norm.attrs.eps as number }, norm.label)
    rewriter.replace(norm, fused.y)
    rewriter.replace(sum, fused.sum)
    return null
  },
})
