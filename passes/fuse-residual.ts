import { matmulAdd } from '../ir/ops/index.ts'
import type { Value } from '../ir/value.ts'
import { alike, rewritePass } from './rewrite.ts'

/** add(residual, matmul(x, w, bias)), in either order  ⇒  matmul_add(x, w, residual, bias) */
export const fuseResidual = rewritePass({
  name: 'fuse-residual',
  doc: 'Saves one kernel, one write and one read of a [T, D] activation.',
  numerics: 'rounding', // the product is no longer rounded before the sum
  root: 'add',
  rule(add) {
    const { a, b } = add.in as { a: Value; b: Value }
    const [product, residual] = isProduct(b) ? [b, a] : [a, b]
    if (!isProduct(product) || !alike(product, residual)) return null
    if (product.type.dtype !== product.in.x!.type.dtype) return null // matmul_add has the dtype of x
    return matmulAdd({ x: product.in.x!, w: product.in.w!, residual, bias: product.in.bias }, {}, product.label)
  },
})

const isProduct = (value: Value): boolean => value.op === 'matmul' && value.uses === 1
