// Attention over the paged cache: one kernel for few queries (a read of the cache), one for many (two products); and the
// two products alone, where attention is not fused.
import { staticDim } from '../../ir/op.ts'
import { attention, pvMatmul, qkMatmul, ropeAttention } from '../../ir/ops/index.ts'
import type { Target } from '../../ir/target.ts'
import { type Dtype, rowBytes } from '../../ir/type.ts'
import { ceilDiv, type Extent, plus, times } from '../extent.ts'
import { type Defines, defineKernel, type Params, type Site } from '../kernel.ts'
import { blockSpace, isFastHost } from './block-space.ts'
import {
  alignmentOf,
  bytesOf,
  cacheElement,
  elementType,
  isWhole,
  placeDefines,
  rowsOf,
  servesRows,
  sizeOf,
  typeAt,
} from './layout.ts'
import { angleDefines } from './rope.ts'

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
    P_KV: cacheElement(typeAt(site, 'k_cache').dtype),
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
  const cached = times(2, types.page_table!.shape[0]!, context, kvHeads, rowBytes(types.k_cache!.dtype, channels))
  return {
    bytes: plus(cached, plus(bytesOf(types.q!), bytesOf(types.y!))),
    flops: times(4, T, context, kvHeads * group, channels),
  }
}

/** Two products of C and L terms; the weights of the second add up to 1. */
const tolerance = (site: Site) => 8 * Math.sqrt(shapeOf(site).channels)

/** Above this many tokens of a request keys and values are worth holding in LDS for several of them. */
const fewTokens = 8
/** Tokens of as many requests share no keys. */
const mostRequests = 32
function isDecode(site: Site): true | string {
  const { T } = shapeOf(site)
  if (typeof T !== 'number') return 'T is not known'
  const alone = typeAt(site, 'page_table').shape[0] === T
  if (T <= (alone ? mostRequests : fewTokens)) return true
  return `needs T ≤ ${fewTokens}, or ${mostRequests} of as many requests; T is ${T}`
}

/** The first of several answers that is not `true`. */
const firstReason = (...answers: readonly (true | string)[]): true | string =>
  answers.find((answer) => answer !== true) ?? true

// ---- few queries ---------------------------------------------------------------------------------------------------

const powerFrom = (n: number): number => 2 ** Math.ceil(Math.log2(n))

/** Do matrix instructions take keys and values as they come from memory? */
function onMatrix(target: Target, site: Site): boolean {
  const kv = typeAt(site, 'k_cache').dtype
  return target.matrix === 'mma' && (kv === 'f16' || kv === 'bf16') && shapeOf(site).channels % 8 === 0
}

/** Query heads of a wave, in equal tiles: 8 columns of an instruction; else as many as fit into registers with their part of q and of the result. */
function decodeHeads(target: Target, { group, channels }: Shape, matrix: boolean): number {
  const chunk = Math.min(8, alignmentOf(channels))
  const lanes = isFastHost(target) ? 1 : Math.min(target.wave, powerFrom(channels / chunk))
  const held = Math.ceil(channels / chunk / lanes) * chunk
  const most = matrix ? 8 : Math.min(8, Math.max(1, Math.floor((isFastHost(target) ? 256 : 32) / held)))
  return Math.ceil(group / Math.ceil(group / most))
}

/** How a block divides its work, and the floats of its LDS, as few.h has them. */
function fewLayout(params: Params, target: Target, site: Site) {
  const { group, channels } = shapeOf(site)
  const waves = isFastHost(target) ? 1 : params.P_BLOCK! / target.wave
  const headTiles = Math.ceil(group / params.P_HEADS!)
  const headWaves = Math.min(waves, powerFrom(headTiles))
  const [shares, blockHeads] = [waves / headWaves, headWaves * params.P_HEADS!]
  const room = 2 ** Math.floor(Math.log2(Math.max(1, Math.floor(4096 / (blockHeads * channels)))))
  const slots = Math.min(shares, room) + 1
  const whole = (floats: number) => 4 * Math.ceil(floats / 4)
  const queries = whole(whole(slots * blockHeads * (channels + 10) + 1) + blockHeads * channels)
  const terms = params.P_MATRIX ? (typeAt(site, 'k_cache').dtype === 'f16' ? 2 : 3) : 0
  const floats = whole(queries + (terms * blockHeads * (channels + 32)) / 2 + (terms ? blockHeads : 0))
  return { headParts: Math.ceil(headTiles / headWaves), blockHeads, ldsBytes: 4 * floats }
}

/**
 * How matrix instructions are spread over the device: blocks of so many threads that a compute unit holds at once, and splits
 * that fill it evenly with them. Few blocks of many threads have least to combine.
 */
function residence(target: Target, site: Site): { perUnit: number; threads: number; splits: number } {
  const { T, kvHeads } = shapeOf(site)
  const blocks = Math.max(1, Number(T) * kvHeads)
  const forms = [
    { perUnit: 1, threads: 256 },
    { perUnit: 3, threads: 128 },
    { perUnit: 2, threads: 128 },
  ].flatMap((form) => {
    if (matrixRegisters(site, true) > registersOfLane(target, form.perUnit * form.threads)) return []
    const splits = Math.max(1, Math.floor((form.perUnit * target.cus) / blocks))
    const each = Math.ceil((splits * blocks) / target.cus)
    return [{ ...form, splits, atOnce: each <= form.perUnit, even: (splits * blocks) / (each * target.cus) }]
  })
  const atOnce = forms.filter((form) => form.atOnce).sort((a, b) => b.even - a.even)
  const good = forms.find((form) => form.atOnce && form.even > 0.85)
  return good ?? atOnce[0] ?? forms.at(-1) ?? { perUnit: 1, threads: 256, splits: Math.floor(target.cus / blocks) }
}

/** The first first. */
const preferring = (first: number, all: readonly number[]): number[] => [...new Set([first, ...all])]

function fewSpace(target: Target, site: Site): Record<string, readonly number[]> {
  const blocks = [256, 128, 512, 64, 1024]
  const group = Math.min(2, shapeOf(site).group)
  const heads = preferring(decodeHeads(target, shapeOf(site), false), [group, 1])
  const common = {
    P_ROWS: target.platform === 'nvidia' ? [4, 2] : [2, 4],
    P_LEAST_SPLIT: target.platform === 'host' ? [64] : [128, 256],
  }
  if (!onMatrix(target, site))
    return { P_MATRIX: [0], P_AHEAD: [1], P_BLOCK: blockSpace(target, blocks), P_HEADS: heads, ...common }
  const { perUnit, threads } = residence(target, site)
  return {
    P_MATRIX: [1, 0],
    P_AHEAD: [1, 0],
    P_BLOCKS_PER_CU: preferring(perUnit, [1, 2, 3]),
    P_BLOCK: blockSpace(target, preferring(threads, blocks)),
    P_HEADS: preferring(decodeHeads(target, shapeOf(site), true), heads),
    ...common,
  }
}

/** Registers of a lane when a compute unit has one block of so many threads. */
function registersOfLane({ registers, simds, wave }: Target, block: number): number {
  return registers ? Math.floor((registers.perSimd * simds) / Math.ceil(block / wave)) : Number.POSITIVE_INFINITY
}

/** About the registers that few_matrix.h takes: keys, values and results of 16 positions, and what else there is. */
function matrixRegisters(site: Site, ahead: boolean): number {
  const { group, channels } = shapeOf(site)
  const columns = powerFrom(Math.ceil(group / Math.ceil(group / 8)))
  const more = columns * (typeAt(site, 'k_cache').dtype === 'f16' ? 2 : 3) > 8 ? 40 : 0
  if (channels > 128) return !ahead ? 212 : channels <= 192 ? 255 : 320
  if (!ahead) return 128
  return (channels <= 64 ? 128 : 168) + more
}

/** Parameters that say nothing to a form of the kernel have one value. */
function fewFits(params: Params, target: Target, site: Site, ldsBytes: number): true | string {
  const { P_BLOCK, P_HEADS, P_MATRIX, P_ROWS, P_AHEAD, P_BLOCKS_PER_CU = 1 } = params
  const registers = Math.min(255, registersOfLane(target, P_BLOCK! * P_BLOCKS_PER_CU))
  const heads = decodeHeads(target, shapeOf(site), P_MATRIX === 1)
  if (P_MATRIX) {
    const needed = matrixRegisters(site, P_AHEAD === 1)
    if (needed > registers) return `takes about ${needed} registers, there are ${registers}`
    if (P_HEADS !== heads) return `a wave takes ${heads} heads`
    if (P_ROWS !== fewSpace(target, site).P_ROWS![0]) return 'a wave takes 16 positions'
  } else {
    if (P_HEADS! > heads) return `a wave has registers for ${heads} heads`
    if (P_HEADS! > 2 && registers <= 128) return `${P_HEADS} heads do not fit into ${registers} registers`
    if (P_AHEAD === 0 || P_BLOCKS_PER_CU > 1) return 'keys and values are asked for ahead, in one block'
  }
  return isFastHost(target) || ldsBytes <= target.ldsBytes || ldsReason(ldsBytes, target)
}

const fewValid = (params: Params, target: Target, site: Site): true | string =>
  fewFits(params, target, site, fewLayout(params, target, site).ldsBytes)

const ldsReason = (bytes: number, target: Target) => `needs ${bytes} bytes of LDS, ${target.ldsBytes} are there`

/** Blocks, before positions are split. */
const fewBlocks = (params: Params, site: Site, target: Target): Extent =>
  times(shapeOf(site).T, shapeOf(site).kvHeads * fewLayout(params, target, site).headParts)

const fewLaunch = (params: Params, site: Site, target: Target) => ({
  grid: times(fewBlocks(params, site, target), params.P_SPLITS ?? 1),
  block: params.P_BLOCK!,
  ldsBytes: fewLayout(params, target, site).ldsBytes,
})

const cacheArgs = ['k_cache', 'v_cache', 'positions', 'seq', 'page_table'] as const

/** Do requests and kv heads alone keep the device busy? */
function fillsDevice(site: Site, target: Target): true | string {
  const blocks = Number(shapeOf(site).T) * shapeOf(site).kvHeads
  const enough = isFastHost(target) ? blocks >= target.cus : blocks >= 4 * target.cus
  return enough || `${blocks} blocks do not fill ${target.cus} compute units: split over positions`
}

export const attentionDecodeKernel = defineKernel({
  name: 'attention_decode',
  implements: attention,
  template: 'attention/decode.hip',
  entry: 'attention_decode',
  args: ['y', 'q', ...cacheArgs, 'T', 'M'],
  serves: (site, target) => firstReason(isDecode(site), fillsDevice(site, target), servesCache(site)),
  fixed: (site) => ({ ...fixed(site), P_SPLITS: 1 }),
  space: fewSpace,
  valid: fewValid,
  scalars,
  launch: fewLaunch,
  cost,
  tolerance,
})

/**
 * As many as fill the device with blocks that are all there at once: more only cost their start, and whoever is last reads
 * what they leave. `least`: 1 where a kernel need not split.
 */
function splitsFor(target: Target, site: Site, least: number): number[] {
  const { T, kvHeads } = shapeOf(site)
  const within = (n: number) => Math.max(least, Math.min(512, n))
  const splits = onMatrix(target, site)
    ? residence(target, site).splits
    : Math.floor((2 * target.cus) / Math.max(1, Number(T) * kvHeads))
  return [...new Set([within(splits), within(Math.ceil(splits / 2)), within(splits * 2)])]
}

/** What splits leave for the last of them: results [T, H, splits, C] and their maxima and sums. */
function splitScratch(params: Params, site: Site): Readonly<Record<string, Extent>> {
  const { T, kvHeads, group, channels } = shapeOf(site)
  const rows = times(T, kvHeads * group * params.P_SPLITS!)
  return { partial: times(rows, channels * 4), weights: times(rows, 8) }
}

export const attentionSplitKernel = defineKernel({
  name: 'attention_split',
  implements: attention,
  template: 'attention/decode.hip',
  entry: 'attention_split',
  args: ['y', 'partial', 'weights', 'arrivals', 'q', ...cacheArgs, 'T', 'M'],
  serves: (site) => firstReason(isDecode(site), servesCache(site)),
  fixed,
  space: (target, site) => ({ ...fewSpace(target, site), P_SPLITS: splitsFor(target, site, 2) }),
  valid: fewValid,
  scratch: splitScratch,
  counters: (params, site, target) => ({ arrivals: times(4, fewBlocks(params, site, target)) }),
  scalars,
  launch: fewLaunch,
  cost,
  tolerance,
})

/** Distance of 1 and the next number; of q8_0 as if all of a block were as large as its largest. */
const epsilon: Partial<Record<Dtype, number>> = {
  f32: 2 ** -23,
  f16: 2 ** -10,
  bf16: 2 ** -7,
  f8_e4m3: 2 ** -3,
  q8_0: 2 ** -6,
}

/** LDS of a block: few.h's, and behind it a new key and value and its scores. */
function ropeLds(params: Params, target: Target, site: Site): number {
  const { blockHeads, ldsBytes } = fewLayout(params, target, site)
  return ldsBytes + 4 * (2 * shapeOf(site).channels + blockHeads)
}

/** Of the weights that heads are normed with, if they are. */
const normType = ({ types }: Site, name: string): string => (types[name] ? elementType(types[name].dtype) : 'void')

export const ropeAttentionKernel = defineKernel({
  implements: ropeAttention,
  template: 'attention/rope_decode.hip',
  args: ['y', 'partial', 'weights', 'arrivals', 'q', 'k', 'v', ...cacheArgs, 'factors', 'q_norm', 'k_norm', 'T', 'M'],
  strided: ['q', 'k', 'v'],
  serves: (site) => firstReason(isDecode(site), servesCache(site), servesRows(site, ['q', 'k', 'v'])),
  fixed: (site) => ({
    ...fixed(site),
    ...angleDefines(site),
    P_TOKENS: Number(shapeOf(site).T),
    P_K: elementType(typeAt(site, 'k').dtype),
    P_V: elementType(typeAt(site, 'v').dtype),
    P_Q_NORM: normType(site, 'q_norm'),
    P_K_NORM: normType(site, 'k_norm'),
    P_EPS: (site.attrs.eps as number | undefined) ?? 1,
    ...placeDefines('q', rowsOf(site, 'q')),
    ...placeDefines('k', rowsOf(site, 'k')),
    ...placeDefines('v', rowsOf(site, 'v')),
  }),
  space: (target, site) => ({
    ...fewSpace(target, site),
    P_SPLITS: splitsFor(target, site, 1),
  }),
  valid: (params, target, site) => fewFits(params, target, site, ropeLds(params, target, site)),
  scratch: (params, site) => (params.P_SPLITS === 1 ? {} : splitScratch(params, site)),
  counters: (params, site, target) =>
    params.P_SPLITS === 1 ? {} : { arrivals: times(4, fewBlocks(params, site, target)) },
  scalars,
  launch: (params, site, target) => ({ ...fewLaunch(params, site, target), ldsBytes: ropeLds(params, target, site) }),
  cost,
  // a reference does not round keys and values to the cache's dtype
  tolerance: (site) =>
    tolerance(site) + (4 * epsilon[typeAt(site, 'k_cache').dtype]!) / epsilon[typeAt(site, 'y').dtype]!,
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
  args: ['y', 'q', ...cacheArgs, 'T', 'M'],
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
    grid: times(
      ceilDiv(shapeOf(site).T, params.P_QUERIES!),
      shapeOf(site).kvHeads * Math.ceil(shapeOf(site).group / params.P_HEADS!),
    ),
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
