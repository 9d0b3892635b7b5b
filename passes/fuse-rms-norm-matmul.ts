import { rmsNormMatmul, rmsNormMatmulSwiglu } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { editPass } from './rewrite.ts'

/**
 * matmul(rms_norm(x, norm), w, bias)  ⇒  rms_norm_matmul(x, norm, w, bias)
 * matmul_swiglu(rms_norm(x, norm), w)  ⇒  rms_norm_matmul_swiglu(x, norm, w)
 */
export const fuseRmsNormMatmul = editPass(
  {
    name: 'fuse-rms-norm-matmul',
    doc: 'Saves one kernel, one write and one read of a [T, D] activation.',
    numerics: 'rounding', // the normed row is no longer rounded to its dtype
    root: 'rms_norm',
  },
  (rewriter) => {
    for (const node of rewriter.nodes()) {
      const fused = withNorm(rewriter.value(node.id))
      if (fused) rewriter.replace(rewriter.value(node.id), fused)
    }
  },
)

/** The product with the norm that it alone reads; null if it is none. */
function withNorm(product: Value): Value | null {
  if (product.op !== 'matmul' && product.op !== 'matmul_swiglu') return null
  const { x: normed, w, bias } = product.in as { x: Value; w: Value; bias?: Value }
  if (normed.op !== 'rms_norm' || normed.uses !== 1) return null
  const { x, w: norm } = normed.in as { x: Value; w: Value }
  const eps = normed.attrs.eps as number
  if (product.op === 'matmul_swiglu') return rmsNormMatmulSwiglu({ x, norm, w }, { eps }, product.label)
  return rmsNormMatmul({ x, norm, w, bias }, { eps, dtype: product.attrs.dtype as 'f32' | undefined }, product.label)
}
