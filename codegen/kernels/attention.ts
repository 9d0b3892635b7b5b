// Attention over the paged cache: one kernel for few queries (a read of the cache), one for many (two products); and the
// two products alone, where attention is not fused.
import { staticDim } from '../../ir/op.ts'
import { attention, pvMatmul, qkMatmul } from '../../ir/ops/index.ts'
import type { Target } from '../../ir/target.ts'
import { ceilDiv, type Extent, plus, times } from '../extent.ts'
import { type Defines, defineKernel, type Params, type Site } from '../kernel.ts'
import { blockSpace, isFastHost } from './block-space.ts'
import { alignmentOf, bytesOf, elementType, isWhole, sizeOf, typeAt } from './layout.ts'

interface Shape {
  readonly T: Extent
  readonly kvHeads: number
  /** query heads of a kv head */
  readonly group: number
  readonly channels: number
}

function shapeOf(site: Site): Shape {
  const [q, cache] = [typeAt(site, 'q'), typeAt(site, 'k_cache')]
  const kvHeads = staticDim(cache, 1)
  return { T: q.shape[0]!, kvHeads, group: staticDim(q, 1) / kvHeads, channels: staticDim(cache, 3) }
}

function fixed(site: Site): Defines {
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
    P_KV: elementType(typeAt(site, 'k_cache').dtype),
    P_Y: elementType(typeAt(site, 'y').dtype),
  }
}

function servesCache(site: Site): true | string {
  const [k, v] = [typeAt(site, 'k_cache'), typeAt(site, 'v_cache')]
  if (k.dtype !== v.dtype) return 'keys and values are cached in different dtypes'
  return (
    typeAt(site, 'q').shape[1] === shapeOf(site).group * shapeOf(site).kvHeads || 'heads are no multiple of kv heads'
  )
}

const scalars = ({ types }: Site) => ({ T: types.q!.shape[0]!, M: types.page_table!.shape[1]! })

/** The keys and values of one request, as far as pages go; every token of it reads them once at most. */
function cost(site: Site) {
  const { T, kvHeads, group, channels } = shapeOf(site)
  const { types } = site
  const context: Extent = times(types.page_table!.shape[1]!, staticDim(typeAt(site, 'k_cache'), 2))
  const cached = times(
    2,
    types.page_table!.shape[0]!,
    context,
    kvHeads,
    channels,
    types.k_cache!.dtype === 'f32' ? 4 : 2,
  )
  return {
    bytes: plus(cached, plus(bytesOf(types.q!), bytesOf(types.y!))),
    flops: times(4, T, context, kvHeads * group, channels),
  }
}

/** Two products of C and L terms; the weights of the second add up to 1. */
const tolerance = (site: Site) => 8 * Math.sqrt(shapeOf(site).channels)

/** Above this many tokens keys and values are worth holding in LDS for several of them. */
const fewTokens = 8
const isDecode = (site: Site): true | string => {
  const { T } = shapeOf(site)
  return (
    (typeof T === 'number' && T <= fewTokens) ||
    `needs T ≤ ${fewTokens}, T is ${typeof T === 'number' ? T : 'not known'}`
  )
}

// ---- few queries ---------------------------------------------------------------------------------------------------

/** Query heads of a block: as many as fit into registers with their part of q and of the result. */
function decodeHeads(target: Target, { group, channels }: Shape): number {
  const chunk = Math.min(8, alignmentOf(channels))
  const lanes = isFastHost(target) ? 1 : Math.min(target.wave, 2 ** Math.ceil(Math.log2(channels / chunk)))
  const held = Math.ceil(channels / chunk / lanes) * chunk
  const most = Math.max(1, Math.floor((isFastHost(target) ? 256 : 32) / held))
  return Math.min(group, 2 ** Math.floor(Math.log2(most)), 8)
}

const decodeSpace = (target: Target, site: Site) => ({
  P_BLOCK: blockSpace(target, [256, 128, 64]),
  P_HEADS: [decodeHeads(target, shapeOf(site))],
  P_TILE: isFastHost(target) ? [256, 128] : [128, 256],
  P_ROWS: isFastHost(target) ? [4, 2] : [2, 4], // more rows in flight cost a GPU the blocks that hide latency better
})

/** LDS of a block: scores, and the result of each wave. */
function decodeLds(params: Params, target: Target, { channels }: Shape): number {
  const waves = params.P_BLOCK! / target.wave
  return 4 * params.P_HEADS! * (params.P_TILE! + waves * channels + 3)
}

function decodeValid(params: Params, target: Target, site: Site): true | string {
  const bytes = decodeLds(params, target, shapeOf(site))
  return isFastHost(target) || bytes <= target.ldsBytes || ldsReason(bytes, target)
}

const ldsReason = (bytes: number, target: Target) => `needs ${bytes} bytes of LDS, ${target.ldsBytes} are there`

const decodeTiles = (params: Params, { kvHeads, group }: Shape) => kvHeads * Math.ceil(group / params.P_HEADS!)

const decodeArgs = ['q', 'k_cache', 'v_cache', 'positions', 'seq', 'page_table', 'T', 'M'] as const

export const attentionDecodeKernel = defineKernel({
  name: 'attention_decode',
  implements: attention,
  template: 'attention/decode.hip',
  entry: 'attention_decode',
  args: ['y', ...decodeArgs],
  serves: (site, target) => {
    const shape = shapeOf(site)
    const decode = isDecode(site)
    if (decode !== true) return decode
    const blocks = Number(shape.T) * shape.kvHeads
    const enough = isFastHost(target) ? blocks >= target.cus : blocks >= 4 * target.cus
    return enough ? servesCache(site) : `${blocks} blocks do not fill ${target.cus} compute units: split over positions`
  },
  fixed: (site) => ({ ...fixed(site), P_SPLITS: 1 }),
  space: decodeSpace,
  valid: decodeValid,
  scalars,
  launch: (params, site) => ({
    grid: times(shapeOf(site).T, decodeTiles(params, shapeOf(site))),
    block: params.P_BLOCK!,
  }),
  cost,
  tolerance,
})

/** Two blocks for each compute unit: more only cost their start, and combine reads them all again. */
function splitsFor(target: Target, site: Site): number[] {
  const { T, kvHeads } = shapeOf(site)
  const blocks = Math.max(1, Number(T) * kvHeads)
  const wanted = Math.ceil(2 * (target.cus / blocks))
  const splits = 2 ** Math.round(Math.log2(Math.max(2, Math.min(128, wanted))))
  return [...new Set([splits, Math.max(2, splits / 2), Math.min(128, splits * 2)])]
}

export const attentionSplitKernel = defineKernel({
  name: 'attention_split',
  implements: attention,
  template: 'attention/decode.hip',
  stages: [
    {
      entry: 'attention_split',
      args: ['partial', 'weights', ...decodeArgs],
      launch: (params, site) => ({
        grid: times(shapeOf(site).T, decodeTiles(params, shapeOf(site)), params.P_SPLITS!),
        block: params.P_BLOCK!,
      }),
    },
    {
      entry: 'attention_combine',
      args: ['y', 'partial', 'weights', 'positions', 'T'],
      launch: (params, site) => ({
        grid: times(shapeOf(site).T, shapeOf(site).kvHeads * shapeOf(site).group),
        block: params.P_BLOCK!,
      }),
    },
  ],
  serves: (site) => {
    const decode = isDecode(site)
    return decode === true ? servesCache(site) : decode
  },
  fixed,
  space: (target, site) => ({ ...decodeSpace(target, site), P_SPLITS: splitsFor(target, site) }),
  valid: decodeValid,
  scratch: ({ P_SPLITS }, site) => {
    const { T, kvHeads, group, channels } = shapeOf(site)
    const rows = times(T, kvHeads * group * P_SPLITS!)
    return { partial: times(rows, channels * 4), weights: times(rows, 8) }
  },
  scalars,
  cost,
  tolerance,
})

// ---- many queries --------------------------------------------------------------------------------------------------

/** Rows (tokens × heads) and positions of a block, so that q, K or V, scores and results fit into 48 KiB of LDS. */
function prefillSizes(target: Target, { group, channels }: Shape) {
  const [rows, tile] = isFastHost(target)
    ? [64, channels >= 128 ? 32 : 64]
    : [channels <= 128 ? 32 : 16, Math.max(8, Math.min(32, 2 ** Math.floor(Math.log2(2048 / channels))))]
  const heads = Math.min(group, 8)
  return { heads, queries: Math.max(1, Math.floor(rows / heads)), tile }
}

/** LDS of a block, bytes. */
function prefillLds(params: Params, channels: number): number {
  const rows = Math.ceil((params.P_QUERIES! * params.P_HEADS!) / 4) * 4
  return 4 * (2 * channels * rows + channels * params.P_TILE! + rows * (params.P_TILE! + 1) + 5 * rows)
}

export const attentionPrefillKernel = defineKernel({
  name: 'attention_prefill',
  implements: attention,
  template: 'attention/prefill.hip',
  entry: 'attention_prefill',
  args: ['y', ...decodeArgs],
  serves: servesCache,
  fixed,
  space: (target, site) => {
    const { heads, queries, tile } = prefillSizes(target, shapeOf(site))
    return {
      P_BLOCK: blockSpace(target, [256, 128]),
      P_HEADS: [heads],
      P_QUERIES: [queries, Math.max(1, queries >> 1)],
      P_TILE: [tile],
    }
  },
  valid: (params, target, site) => {
    const bytes = prefillLds(params, shapeOf(site).channels)
    return isFastHost(target) || bytes <= target.ldsBytes || ldsReason(bytes, target)
  },
  scalars,
  launch: (params, site) => ({
    grid: times(ceilDiv(shapeOf(site).T, params.P_QUERIES!), decodeTiles(params, shapeOf(site))),
    block: params.P_BLOCK!,
  }),
  cost,
  tolerance,
})

// ---- not fused -----------------------------------------------------------------------------------------------------

/** Query heads that share a head of k or v, seen through repeat_kv. */
const groupsOf = (site: Site, name: string): number => site.views[name]?.groups ?? 1

/** Heads may be shared; rows may have no gaps. */
function servesShared(site: Site, name: string): true | string {
  const view = site.views[name]
  if (!view || view.groups === 1) return isWhole(site, name) || `${name} must be contiguous`
  return view.offset === 0 || `${name} must start where its buffer starts`
}

export const qkMatmulKernel = defineKernel({
  implements: qkMatmul,
  template: 'attention/qk_matmul.hip',
  args: ['y', 'q', 'k', 'seq', 'T', 'L'],
  strided: ['k'],
  serves: (site) => servesShared(site, 'k'),
  fixed: (site) => {
    const [q, channels] = [typeAt(site, 'q'), staticDim(typeAt(site, 'q'), 2)]
    return {
      P_HEADS: staticDim(q, 1),
      P_GROUP: groupsOf(site, 'k'),
      P_HEAD_DIM: channels,
      P_ALIGN: alignmentOf(channels),
      P_Q: elementType(q.dtype),
      P_K: elementType(typeAt(site, 'k').dtype),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 256, 64]), P_TILE: isFastHost(target) ? [256] : [64, 128] }),
  scalars: ({ types }) => ({ T: types.q!.shape[0]!, L: types.k!.shape[1]! }),
  launch: (params, { types }) => ({
    grid: times(...types.q!.shape.slice(0, 2), ceilDiv(types.k!.shape[1]!, params.P_TILE!)),
    block: params.P_BLOCK!,
  }),
  cost: ({ types }) => ({
    bytes: plus(bytesOf(types.q!), plus(bytesOf(types.k!), bytesOf(types.y!))),
    flops: times(2, ...types.y!.shape, types.q!.shape[2]!),
  }),
  tolerance: (site) => 2 * Math.sqrt(staticDim(typeAt(site, 'q'), 2)),
})

export const pvMatmulKernel = defineKernel({
  implements: pvMatmul,
  template: 'attention/pv_matmul.hip',
  args: ['y', 'p', 'v', 'seq', 'T', 'L'],
  strided: ['v'],
  serves: (site) => servesShared(site, 'v'),
  fixed: (site) => {
    const channels = staticDim(typeAt(site, 'v'), 3)
    return {
      P_HEADS: staticDim(typeAt(site, 'p'), 1),
      P_GROUP: groupsOf(site, 'v'),
      P_HEAD_DIM: channels,
      P_ALIGN: alignmentOf(channels),
      P_P: elementType(typeAt(site, 'p').dtype),
      P_V: elementType(typeAt(site, 'v').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 256, 64]) }),
  scalars: ({ types }) => ({ T: types.p!.shape[0]!, L: types.p!.shape[2]! }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: sizeOf(types.p!.shape.slice(0, 2)), block: P_BLOCK! }),
  cost: ({ types }) => ({
    bytes: plus(bytesOf(types.p!), plus(bytesOf(types.v!), bytesOf(types.y!))),
    flops: times(2, ...types.p!.shape, staticDim(types.v!, 3)),
  }),
  tolerance: ({ types }) => 2 * Math.sqrt(typeof types.p!.shape[2] === 'number' ? types.p!.shape[2] : 1024),
})
