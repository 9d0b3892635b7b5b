// Matmuls of any number of tokens: gemm_panel on the host's SIMD registers, gemm in thread blocks by FMA (gemm-matrix.ts has
// the one on matrix units). Each serves the three ops
// y = epilogue(x · wᵀ) with a bias, a residual or SwiGLU in the epilogue. gemv.ts and
// gemv-matrix.ts have the kernels of a few tokens.
import { ceilDiv, times } from '../../extent.ts'
import { defineKernel, type KernelSpec, type Params, type Site } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import { gemmMatrix } from './gemm-matrix.ts'
import { gemv, gemvStream, normedGemvStream } from './gemv.ts'
import { gemvMatrix, normedGemvMatrix } from './gemv-matrix.ts'
import { common, type Family, families, normedFamilies, served, shapeOf } from './operands.ts'

// ---- gemm_panel ----------------------------------------------------------------------------------------------------

const gemmPanel = (family: Family): KernelSpec =>
  defineKernel({
    ...common(family, 'gemm_panel'),
    serves: (site, target) => (isFastHost(target) ? served(site) : 'needs blocks of one thread: the host in fast mode'),
    space: () => ({ P_BLOCK: [1], P_TILE_TOKENS: [132, 60, 252], P_TILE_ROWS: [64, 128], P_SLICE: [256, 512] }),
    launch({ P_TILE_TOKENS, P_TILE_ROWS }: Params, site) {
      const { T, N, parts } = shapeOf(site)
      return { grid: times(ceilDiv(N, P_TILE_ROWS! / parts), ceilDiv(T, P_TILE_TOKENS!)), block: 1 }
    },
  })

// ---- gemm ----------------------------------------------------------------------------------------------------------

/** Bytes that a block's tile takes in LDS: slices of x and w, and later the sums in the same place. */
function gemmLdsBytes({ P_TILE_TOKENS, P_TILE_ROWS, P_DEPTH }: Params, { types }: Site): number {
  const [x, w] = [types.x!.dtype, types.w!.dtype]
  const element = x === w && x !== 'f32' ? 2 : 4
  const slices = (P_TILE_TOKENS! + P_TILE_ROWS!) * (P_DEPTH! * element + 16)
  return Math.max(slices, P_TILE_TOKENS! * (P_TILE_ROWS! + 4) * 4)
}

const gemm = (family: Family): KernelSpec =>
  defineKernel({
    ...common(family, 'gemm'),
    serves: served,
    space: (target) => ({
      P_BLOCK: blockSpace(target, [256, 128]),
      P_WAVE_TOKENS: [32, 16],
      P_TILE_TOKENS: [64, 32],
      P_TILE_ROWS: [128, 64],
      P_DEPTH: [32],
    }),
    valid(params, target, site) {
      const waves = params.P_BLOCK! / target.wave
      const down = params.P_TILE_TOKENS! / params.P_WAVE_TOKENS!
      if (!Number.isInteger(down) || waves % down !== 0) return `${waves} waves cannot share ${down} rows of tiles`
      const rows = params.P_TILE_ROWS! / (waves / down)
      if (rows % 8 !== 0) return `a wave's ${rows} rows of w must be a multiple of 8`
      const bytes = gemmLdsBytes(params, site)
      return bytes <= target.ldsBytes || `a tile takes ${bytes} bytes of LDS, there are ${target.ldsBytes}`
    },
    launch({ P_BLOCK, P_TILE_TOKENS, P_TILE_ROWS }: Params, site) {
      const { T, N, parts } = shapeOf(site)
      return { grid: times(ceilDiv(N, P_TILE_ROWS! / parts), ceilDiv(T, P_TILE_TOKENS!)), block: P_BLOCK! }
    },
  })

/** In order of preference. */
export const matmulKernels: readonly KernelSpec[] = [
  ...families.flatMap((family) => [
    gemv(family),
    gemvMatrix(family),
    gemvStream(family),
    gemmPanel(family),
    gemmMatrix(family),
    gemm(family),
  ]),
  ...normedFamilies.flatMap((family) => [normedGemvMatrix(family), normedGemvStream(family)]),
]
