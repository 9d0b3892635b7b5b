// How attention of few queries (attention/few.h) is laid over a block and a device: heads of a wave, splits of positions,
// registers and LDS, and the settings that a tuner may try.
import type { Target } from '../../../ir/target.ts'
import { type Extent, times } from '../../extent.ts'
import type { Params, Site } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import { alignmentOf, typeAt } from '../layout.ts'
import { preferring } from '../matmul/choices.ts'
import { ldsReason, type Shape, shapeOf } from './operands.ts'

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
export function fewLayout(params: Params, target: Target, site: Site) {
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

export function fewSpace(target: Target, site: Site): Record<string, readonly number[]> {
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
export function fewFits(params: Params, target: Target, site: Site, ldsBytes: number): true | string {
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
    if (P_AHEAD === 0 || P_BLOCKS_PER_CU > 1) return 'keys and values are prefetched, in one block'
  }
  return isFastHost(target) || ldsBytes <= target.ldsBytes || ldsReason(ldsBytes, target)
}

export const fewValid = (params: Params, target: Target, site: Site): true | string =>
  fewFits(params, target, site, fewLayout(params, target, site).ldsBytes)

/** Blocks, before positions are split. */
export const fewBlocks = (params: Params, site: Site, target: Target): Extent =>
  times(shapeOf(site).T, shapeOf(site).kvHeads * fewLayout(params, target, site).headParts)

export const fewLaunch = (params: Params, site: Site, target: Target) => ({
  grid: times(fewBlocks(params, site, target), params.P_SPLITS ?? 1),
  block: params.P_BLOCK!,
  ldsBytes: fewLayout(params, target, site).ldsBytes,
})

/** Do requests and kv heads alone keep the device busy? */
export function fillsDevice(site: Site, target: Target): true | string {
  const blocks = Number(shapeOf(site).T) * shapeOf(site).kvHeads
  const enough = isFastHost(target) ? blocks >= target.cus : blocks >= 4 * target.cus
  return enough || `${blocks} blocks do not fill ${target.cus} compute units: split over positions`
}

/**
 * As many as fill the device with blocks that are all there at once: more only cost their start, and whoever is last reads
 * what they leave. `least`: 1 where a kernel need not split.
 */
export function splitsFor(target: Target, site: Site, least: number): number[] {
  const { T, kvHeads } = shapeOf(site)
  const within = (n: number) => Math.max(least, Math.min(512, n))
  const splits = onMatrix(target, site)
    ? residence(target, site).splits
    : Math.floor((2 * target.cus) / Math.max(1, Number(T) * kvHeads))
  return [...new Set([within(splits), within(Math.ceil(splits / 2)), within(splits * 2)])]
}

/** What splits leave for the last of them: results [T, H, splits, C] and their maxima and sums. */
export function splitScratch(params: Params, site: Site): Readonly<Record<string, Extent>> {
  const { T, kvHeads, group, channels } = shapeOf(site)
  const rows = times(T, kvHeads * group * params.P_SPLITS!)
  return { partial: times(rows, channels * 4), weights: times(rows, 8) }
}
