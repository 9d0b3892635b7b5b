import { match, P } from 'ts-pattern'
import { matmulAdd } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { alike, rewritePass } from './rewrite.ts'

const product = { op: 'matmul', uses: 1 } as const

/** add(residual, matmul(x, w, bias)), in either order  ⇒  matmul_add(x, w, residual, bias) */
export const fuseResidual = rewritePass({
  name: 'fuse-residual',
  doc: 'Saves one kernel, one write and one read of a [T, D] activation.',
  numerics: 'rounding', // the product is no longer rounded before the sum
  root: 'add',
  rule: (add) =>
    match(add.in)
      .with({ a: P.select('residual'), b: P.select('product', product) }, fused)
      .with({ a: P.select('product', product), b: P.select('residual') }, fused)
      .otherwise(() => null),
})

function fused({ product, residual }: { product: Value; residual: Value }): Value | null {
  const { x, w, bias } = product.in as { x: Value; w: Value; bias?: Value }
  // matmul_add has the dtype of x
  if (!alike(product, residual) || product.type.dtype !== x.type.dtype) return null
  return matmulAdd({ x, w, residual, bias }, {}, product.label)
}
