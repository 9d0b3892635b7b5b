import { matmulAdd } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { rewritePass } from './rewrite.ts'

/** add(residual, matmul(x, w, bias)), in either order  ⇒  matmul_add(x, w, residual, bias) */
export const fuseResidual = rewritePass({
  name: 'fuse-residual',
  doc: 'Saves one kernel, one write and one read of a [T, D] activation.',
  numerics: 'rounding', // the product is no longer rounded before the sum
  root: 'add',
  rule(add) {
    const { a, b } = add.in as { a: Value; b: Value }
    const [product, residual] = isProduct(b) ? [b, a] : [a, b]
    const sameType =
      String(product.type.shape) === String(residual.type.shape) && product.type.dtype === residual.type.dtype
    if (!isProduct(product) || !sameType || product.type.dtype !== product.in.x!.type.dtype) return null
    return matmulAdd({ x: product.in.x!, w: product.in.w!, residual, bias: product.in.bias }, {}, product.label)
  },
})

const isProduct = (value: Value): boolean => value.op === 'matmul' && value.uses === 1
