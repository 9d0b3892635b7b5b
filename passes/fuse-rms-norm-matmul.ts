import { match, P } from 'ts-pattern'
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
    for (const product of rewriter.valuesOf('matmul', 'matmul_swiglu')) {
      const fused = withNorm(product)
      if (fused) rewriter.replace(product, fused)
    }
  },
)

const normed = P.select('normed', { op: 'rms_norm', uses: 1, in: { x: P.select('x'), w: P.select('norm') } })

/** The product with the norm that it alone reads; null if it is none. */
const withNorm = (product: Value): Value | null =>
  match(product)
    .with({ op: 'matmul', in: { x: normed, w: P.select('w') } }, ({ normed: { attrs }, x, norm, w }) => {
      const dtype = product.attrs.dtype as 'f32' | undefined
      return rmsNormMatmul({ x, norm, w, bias: product.in.bias }, { eps: attrs.eps as number, dtype }, product.label)
    })
    .with({ op: 'matmul_swiglu', in: { x: normed, w: P.select('w') } }, ({ normed: { attrs }, x, norm, w }) =>
      rmsNormMatmulSwiglu({ x, norm, w }, { eps: attrs.eps as number }, product.label),
    )
    .otherwise(() => null)
