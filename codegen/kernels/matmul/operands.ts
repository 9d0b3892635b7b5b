// What the specs of the matmul family share: the ops it serves, their shapes, and the defines of operands.h.
import type { Op } from '../../../ir/op.ts'
import { staticDim } from '../../../ir/op.ts'
import { matmul, matmulAdd, matmulSwiglu, rmsNormMatmul, rmsNormMatmulSwiglu } from '../../../ir/ops/index.ts'
import { quantFormats } from '../../../ir/quant.ts'
import type { Target } from '../../../ir/target.ts'
import { type Dim, isFloat, isQuant, rowBytes } from '../../../ir/type.ts'
import { plus, times } from '../../extent.ts'
import type { Defines, Site } from '../../kernel.ts'
import { weightStruct } from '../../weight-source.ts'

/** An op of the family: its suffix in names of kernels, and P_EPILOGUE of operands.h. */
export interface Family {
  readonly op: { readonly definition: Op<never, never, never, never>['definition'] }
  readonly suffix: string
  readonly epilogue: 0 | 1 | 2
}

export const families: readonly Family[] = [
  { op: matmul, suffix: '', epilogue: 0 },
  { op: matmulAdd, suffix: '_add', epilogue: 1 },
  { op: matmulSwiglu, suffix: '_swiglu', epilogue: 2 },
]

/** Ops that norm x first. */
export const normedFamilies: readonly Family[] = [
  { op: rmsNormMatmul, suffix: '', epilogue: 0 },
  { op: rmsNormMatmulSwiglu, suffix: '_swiglu', epilogue: 2 },
]

/** Above this many tokens a weight is worth decoding once for all of them. */
export const maxFewTokens = 8

interface Shape {
  readonly T: Dim
  /** columns of y, and rows of w behind each */
  readonly N: number
  readonly parts: 1 | 2
  readonly K: number
}

export function shapeOf({ types }: Site): Shape {
  const [N, K] = [staticDim(types.y!, 1), staticDim(types.x!, 1)]
  return { T: types.x!.shape[0]!, N, parts: staticDim(types.w!, 0) === 2 * N ? 2 : 1, K }
}

/** Reasons that no kernel here takes the operands. */
export function served({ types }: Site): true | string {
  const dtype = types.w!.dtype
  if (!isFloat(dtype) && !isQuant(dtype)) return `w must be a float or a quantised type, is ${dtype}`
  const { K } = shapeOf({ op: '', types, attrs: {}, views: {} })
  if (isQuant(dtype) && K % quantFormats[dtype].block !== 0)
    return `K must be a multiple of ${quantFormats[dtype].block} for ${dtype}, is ${K}`
  return true
}

export function servesFewTokens(site: Site): true | string {
  const { T } = shapeOf(site)
  if (typeof T !== 'number' || T > maxFewTokens) return `T must be a number up to ${maxFewTokens}, is ${T}`
  return served(site)
}

function defines(site: Site, target: Target, epilogue: number): Defines {
  const { types } = site
  const { N, K } = shapeOf(site)
  return {
    P_K: K,
    P_N: N,
    P_X: `${types.x!.dtype}_t`,
    P_Y: `${types.y!.dtype}_t`,
    P_WEIGHT: weightStruct(types.w!, K, target),
    P_EPILOGUE: epilogue,
    P_BIAS: types.bias ? 1 : 0,
    ...(types.bias ? { P_BIAS_ELEM: `${types.bias.dtype}_t` } : {}),
    ...(types.residual ? { P_RESIDUAL: `${types.residual.dtype}_t` } : {}),
  }
}

/** Weights once, activations once in and once out; two operations a weight and token. */
function cost(site: Site) {
  const { types } = site
  const { T, N, parts, K } = shapeOf(site)
  const residual = types.residual ? rowBytes(types.residual.dtype, N) : 0
  const token = rowBytes(types.x!.dtype, K) + rowBytes(types.y!.dtype, N) + residual
  return {
    bytes: plus(parts * N * rowBytes(types.w!.dtype, K), times(T, token)),
    flops: times(T, 2 * parts * N * K),
  }
}

/** Relative, for a sum of K rounded products; SwiGLU multiplies two such sums. */
const tolerance = (site: Site): number => 2 * shapeOf(site).parts * Math.sqrt(shapeOf(site).K)

/** What the specs of one op have in common, whatever the kernel. */
export const common = ({ op, suffix, epilogue }: Family, kernel: string) => ({
  name: `${kernel}${suffix}`,
  implements: op,
  template: `matmul/${kernel}.hip`,
  entry: kernel,
  args: ['y', 'x', 'w', 'bias', 'residual', 'T'],
  fixed: (site: Site, target: Target) => defines(site, target, epilogue),
  scalars: ({ types }: Site) => ({ T: types.x!.shape[0]! }),
  cost,
  tolerance,
})
