import { defineFusedOp } from '../../op.ts'
import { add } from '../model/add.ts'
import { matmul } from '../model/matmul.ts'

export const matmulAdd = defineFusedOp('matmul_add', {
  doc: 'residual + x · wᵀ + bias: the residual added in the epilogue of the matmul',
  operands: { x: 'float[T, K]', w: 'any[N, K]', residual: 'float[T, N]' },
  optional: { bias: 'float[N]' },
  traits: ['rowwise'],
  expand: ({ x, w, residual, bias }) => add({ a: residual, b: matmul({ x, w, bias }) }),
})
