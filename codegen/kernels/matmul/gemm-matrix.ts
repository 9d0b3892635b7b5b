// Matmuls of any number of tokens on matrix units: 16-bit elements, f32 sums.
import type { Target } from '../../../ir/target.ts'
import { isQuant, rowBytes } from '../../../ir/type.ts'
import { ceilDiv, times } from '../../extent.ts'
import { defineKernel, type KernelSpec, type Params, type Site } from '../../kernel.ts'
import { type MatrixShape, matrixUnit } from '../../matrix-units.ts'
import { blockSpace } from '../block-space.ts'
import { common, type Family, served, shapeOf } from './operands.ts'

/** Elements that lie in LDS, and how many of them make an x. */
interface Elements {
  readonly type: 'f16' | 'bf16'
  readonly terms: 1 | 3
}

/** Quantised weights are multiplied as f16; an x in f32 is three bf16, exact to 2⁻²⁴. */
function elementsOf({ types }: Site): Elements | string {
  const [x, w] = [types.x!.dtype, types.w!.dtype]
  if (w === 'bf16' && x === 'f32') return { type: 'bf16', terms: 3 }
  if ((w === 'bf16' || w === 'f16') && x === w) return { type: w, terms: 1 }
  if (isQuant(w) && x === 'f16') return { type: 'f16', terms: 1 }
  return `${x} · ${w} is not exact in 16 bits`
}

/** What is multiplied by which unit, or why no unit serves. */
function planOf(site: Site, target: Target): (Elements & { readonly unit: MatrixShape }) | string {
  const elements = elementsOf(site)
  if (typeof elements === 'string') return elements
  const unit = matrixUnit(target, elements.type)
  return typeof unit === 'string' ? unit : { ...elements, unit }
}

/** Offsets of rows are of 32 bits. */
const maxWeightBytes = 2 ** 32 - 1
const depth = 64 // elements of a slice; gemm_matrix.hip has the same

const sliceBytes = (terms: number, { P_TILE_ROWS, P_TILE_TOKENS }: Params): number =>
  (P_TILE_ROWS! + terms * P_TILE_TOKENS!) * depth * 2

/** Registers that a lane holds: sums, a step's fragments, the next slice; what else there is, about. */
function registersOf(params: Params, site: Site, target: Target): number {
  const plan = planOf(site, target)
  if (typeof plan === 'string') return 0
  const { unit, terms } = plan
  const { rows, tokens } = waveShare(params, target)
  const sums = (rows * tokens) / target.wave
  const fragments = (rows / unit.rows) * unit.registers.w + unit.registers.x
  const chunk = (words: number, lines: number) => Math.ceil((lines * 8) / params.P_BLOCK!) * words
  const copied = target.platform === 'nvidia' && params.P_BUFFERS! > 1 ? 1 : 4 // an offset each, where copies pass registers by
  const next =
    chunk(isQuant(site.types.w!.dtype) ? 8 : copied, params.P_TILE_ROWS!) +
    chunk(terms > 1 ? 8 : copied, params.P_TILE_TOKENS!)
  return sums + fragments + next + 40
}

function waveShare({ P_BLOCK, P_TILE_ROWS, P_TILE_TOKENS, P_WAVE_TOKENS }: Params, target: Target) {
  const across = P_TILE_TOKENS! / P_WAVE_TOKENS!
  const down = P_BLOCK! / target.wave / across
  return { rows: P_TILE_ROWS! / down, tokens: P_WAVE_TOKENS!, across, down }
}

function valid(params: Params, target: Target, site: Site): true | string {
  const plan = planOf(site, target)
  if (typeof plan === 'string') return plan
  const { rows, tokens, across, down } = waveShare(params, target)
  if (!Number.isInteger(across) || !Number.isInteger(down)) return 'waves do not share the tile evenly'
  const whole = plan.unit.rows * shapeOf(site).parts
  if (rows % whole !== 0) return `a wave's ${rows} rows of w must be a multiple of ${whole}`
  if (tokens % plan.unit.columns !== 0) return `a wave's ${tokens} tokens must be a multiple of ${plan.unit.columns}`
  const bytes = params.P_BUFFERS! * sliceBytes(plan.terms, params)
  if (bytes > target.ldsMaxBytes) return `slices take ${bytes} bytes of LDS, there are ${target.ldsMaxBytes}`
  if (bytes * (params.P_BLOCKS_PER_CU ?? 1) > target.ldsPerCuBytes) return 'LDS has no room for as many blocks'
  const registers = registersOf(params, site, target)
  const most = Math.min(target.registers?.perWave ?? 256, 255)
  return registers <= most || `a lane would need ${registers} registers, there are ${most}`
}

/**
 * Tiles, the best first. NVIDIA's are the best of a sweep on an H200 (`npm run test:gpu -- --only sweep --sweep
 * llama-8b:bf16:1:bf16:512`, also q8_0 and 2048 tokens): small blocks, a ring of three slices for asynchronous copies. Elsewhere two
 * slices where two blocks still find room on a CU, so that a slice costs one barrier.
 */
function space(target: Target, site: Site): Readonly<Record<string, readonly number[]>> {
  const plan = planOf(site, target)
  const terms = typeof plan === 'string' ? 1 : plan.terms
  const { T } = shapeOf(site)
  const tokens = (sizes: readonly number[]) => {
    const enough = typeof T === 'number' ? Math.max(32, 2 ** Math.ceil(Math.log2(T))) : Number.POSITIVE_INFINITY
    return [...sizes.filter((size) => size <= enough), ...sizes.filter((size) => size > enough)]
  }
  if (target.platform === 'nvidia' && terms === 1) {
    const dequantised = isQuant(site.types.w!.dtype)
    return {
      P_BLOCK: blockSpace(target, [128, 256, 512]),
      P_TILE_ROWS: dequantised ? [64, 128, 256] : [128, 64, 256],
      P_TILE_TOKENS: tokens(dequantised ? [128, 64, 256, 32] : [64, 128, 256, 32]),
      P_WAVE_TOKENS: [32, 64, 16, 128],
      P_BUFFERS: [3, 2, 4],
    }
  }
  const roomy = 4 * sliceBytes(terms, { P_TILE_ROWS: 128, P_TILE_TOKENS: terms > 1 ? 64 : 128 }) <= target.ldsPerCuBytes
  return {
    P_BLOCK: blockSpace(target, [256, 128, 512]),
    P_TILE_ROWS: [128, 256, 64],
    P_TILE_TOKENS: tokens(terms > 1 ? [64, 32, 128] : [128, 256, 64, 32]),
    P_WAVE_TOKENS: target.wave === 64 ? [64, 32, 16] : [32, 64, 16],
    P_BUFFERS: roomy ? [2, 1] : [1, 2],
    // CDNA 2 and newer: registers of two blocks fit on a CU, so that one multiplies while the other waits
    ...(target.wave === 64 && target.name !== 'gfx908' ? { P_BLOCKS_PER_CU: [2, 1] } : {}),
  }
}

export const gemmMatrix = (family: Family): KernelSpec => {
  const shared = common(family, 'gemm_matrix')
  return defineKernel({
    ...shared,
    serves(site, target) {
      const plan = planOf(site, target)
      if (typeof plan === 'string') return plan
      const { N, parts, K } = shapeOf(site)
      const bytes = parts * N * rowBytes(site.types.w!.dtype, K)
      if (bytes > maxWeightBytes) return `w has ${bytes} bytes, at most ${maxWeightBytes} are taken`
      return K % 8 === 0 ? served(site) : `K must be a multiple of 8, is ${K}`
    },
    fixed(site, target) {
      const plan = planOf(site, target)
      const own =
        typeof plan === 'string'
          ? {}
          : { P_MATRIX_UNIT: plan.unit.define, P_MATRIX_ELEM: `${plan.type}_t`, P_TERMS: plan.terms }
      return { ...shared.fixed(site, target), ...own }
    },
    space,
    valid,
    launch(params: Params, site, target) {
      const { T, N, parts } = shapeOf(site)
      const plan = planOf(site, target)
      const terms = typeof plan === 'string' ? 1 : plan.terms
      return {
        grid: times(ceilDiv(N, params.P_TILE_ROWS! / parts), ceilDiv(T, params.P_TILE_TOKENS!)),
        block: params.P_BLOCK!,
        ldsBytes: params.P_BUFFERS! * sliceBytes(terms, params),
      }
    },
    /** f16 weights made of codes are rounded once each: 2⁻¹¹, of which a sum of K keeps about as much. */
    tolerance: (site) =>
      shared.tolerance(site) * (isQuant(site.types.w!.dtype) && site.types.y!.dtype === 'f32' ? 2 ** 12 : 1),
  })
}
