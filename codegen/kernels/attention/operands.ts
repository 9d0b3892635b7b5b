// What the kernels of attention over the paged cache have in common: shapes, defines, arguments, costs and tolerances.
import { staticDim } from '../../../ir/op.ts'
import type { Target } from '../../../ir/target.ts'
import { rowBytes } from '../../../ir/type.ts'
import { type Extent, plus, times } from '../../extent.ts'
import type { Defines, Site } from '../../kernel.ts'
import { alignmentOf, bytesOf, cacheElement, elementType, typeAt } from '../layout.ts'

export interface Shape {
  readonly T: Extent
  readonly kvHeads: number
  /** query heads of a kv head */
  readonly group: number
  readonly channels: number
}

export function shapeOf(site: Site): Shape {
  const [q, cache] = [typeAt(site, 'q'), typeAt(site, 'k_cache')]
  const kvHeads = staticDim(cache, 1)
  return { T: q.shape[0]!, kvHeads, group: staticDim(q, 1) / kvHeads, channels: staticDim(cache, 3) }
}

export function fixed(site: Site): Defines {
  const { kvHeads, group, channels } = shapeOf(site)
  return {
    P_KV_HEADS: kvHeads,
    P_GROUP: group,
    P_HEAD_DIM: channels,
    P_ALIGN: alignmentOf(channels),
    P_PAGE: staticDim(typeAt(site, 'k_cache'), 2),
    P_WINDOW: (site.attrs.window as number | undefined) ?? 0,
    P_SCALE: site.attrs.scale as number,
    P_Q: elementType(typeAt(site, 'q').dtype),
    P_KV: cacheElement(typeAt(site, 'k_cache').dtype),
    P_Y: elementType(typeAt(site, 'y').dtype),
  }
}

export function servesCache(site: Site): true | string {
  const [k, v] = [typeAt(site, 'k_cache'), typeAt(site, 'v_cache')]
  if (k.dtype !== v.dtype) return 'keys and values are cached in different dtypes'
  return (
    typeAt(site, 'q').shape[1] === shapeOf(site).group * shapeOf(site).kvHeads || 'heads are no multiple of kv heads'
  )
}

export const scalars = ({ types }: Site) => ({ T: types.q!.shape[0]!, M: types.page_table!.shape[1]! })

/** The keys and values of one request, as far as pages go; every token of it reads them once at most. */
export function cost(site: Site) {
  const { T, kvHeads, group, channels } = shapeOf(site)
  const { types } = site
  const context: Extent = times(types.page_table!.shape[1]!, staticDim(typeAt(site, 'k_cache'), 2))
  const cached = times(2, types.page_table!.shape[0]!, context, kvHeads, rowBytes(types.k_cache!.dtype, channels))
  return {
    bytes: plus(cached, plus(bytesOf(types.q!), bytesOf(types.y!))),
    flops: times(4, T, context, kvHeads * group, channels),
  }
}

/** Two products of C and L terms; the weights of the second add up to 1. */
export const tolerance = (site: Site) => 8 * Math.sqrt(shapeOf(site).channels)

/** The first of several answers that is not `true`. */
export const firstReason = (...answers: readonly (true | string)[]): true | string =>
  answers.find((answer) => answer !== true) ?? true

export const ldsReason = (bytes: number, target: Target) => `needs ${bytes} bytes of LDS, ${target.ldsBytes} are there`

export const cacheArgs = ['k_cache', 'v_cache', 'positions', 'seq', 'page_table'] as const
