// The matmul family: y = epilogue(x · wᵀ) with a bias, a residual or SwiGLU in the epilogue. Three kernels serve each of
// the three ops: gemv for a few tokens (a read of the weights), gemm_panel for many tokens on the host's SIMD registers,
// gemm for many tokens in thread blocks.
import type { Op } from '../../ir/op.ts'
import { staticDim } from '../../ir/op.ts'
import { matmul, matmulAdd, matmulSwiglu } from '../../ir/ops/index.ts'
import { quantFormats } from '../../ir/quant.ts'
import type { Target } from '../../ir/target.ts'
import { type Dim, isFloat, isQuant, rowBytes } from '../../ir/type.ts'
import { ceilDiv, plus, times } from '../extent.ts'
import { type Defines, defineKernel, type KernelSpec, type Params, type Site } from '../kernel.ts'
import { blockSpace, isFastHost } from './block-space.ts'

/** P_EPILOGUE of operands.h, and weight rows behind one column of y. */
interface Family {
  readonly op: { readonly definition: Op<never, never, never, never>['definition'] }
  readonly suffix: string
  readonly epilogue: 0 | 1 | 2
}

const families: readonly Family[] = [
  { op: matmul, suffix: '', epilogue: 0 },
  { op: matmulAdd, suffix: '_add', epilogue: 1 },
  { op: matmulSwiglu, suffix: '_swiglu', epilogue: 2 },
]

/** Above this many tokens a weight is worth decoding once for all of them. */
const fewTokens = 8

interface Shape {
  readonly T: Dim
  /** columns of y, and rows of w behind each */
  readonly N: number
  readonly parts: 1 | 2
  readonly K: number
}

function shapeOf({ types }: Site): Shape {
  const [N, K] = [staticDim(types.y!, 1), staticDim(types.x!, 1)]
  return { T: types.x!.shape[0]!, N, parts: staticDim(types.w!, 0) === 2 * N ? 2 : 1, K }
}

const args = ['y', 'x', 'w', 'bias', 'residual', 'T'] as const

/** Reasons that no kernel here takes the operands. */
function served({ types }: Site): true | string {
  const dtype = types.w!.dtype
  if (!isFloat(dtype) && !isQuant(dtype)) return `w must be a float or a quantised type, is ${dtype}`
  const { K } = shapeOf({ op: '', types, attrs: {}, views: {} })
  if (isQuant(dtype) && K % quantFormats[dtype].block !== 0)
    return `K must be a multiple of ${quantFormats[dtype].block} for ${dtype}, is ${K}`
  return true
}

function defines(site: Site, epilogue: number): Defines {
  const { types } = site
  const { N, K } = shapeOf(site)
  return {
    P_K: K,
    P_N: N,
    P_X: `${types.x!.dtype}_t`,
    P_Y: `${types.y!.dtype}_t`,
    P_WEIGHT: `${types.w!.dtype}_w`,
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

const common = ({ op, suffix, epilogue }: Family, kernel: string) => ({
  name: `${kernel}${suffix}`,
  implements: op,
  template: `matmul/${kernel}.hip`,
  entry: kernel,
  args,
  fixed: (site: Site) => defines(site, epilogue),
  scalars: ({ types }: Site) => ({ T: types.x!.shape[0]! }),
  cost,
  tolerance,
})

// ---- gemv ----------------------------------------------------------------------------------------------------------

/** Blocks that keep the host's threads evenly busy without costing more to hand out than to run. */
const hostBlocks = 32

function gemvSpace(target: Target, site: Site): Record<string, readonly number[]> {
  const { T, N } = shapeOf(site)
  const tokens = Math.min(typeof T === 'number' ? Math.max(T, 1) : fewTokens, 4)
  if (isFastHost(target)) {
    const strips = Math.max(1, Math.min(64, Math.floor(N / (2 * hostBlocks))))
    return { P_BLOCK: [1], P_ROWS: [2, 1, 4], P_TOKENS: [tokens], P_STRIPS: [strips], P_DEPTH: [2, 1] }
  }
  const { rows, block } = gpuTile(target, site, tokens)
  return {
    P_BLOCK: blockSpace(
      target,
      [block, 256, 128, 512].filter((size, i, all) => all.indexOf(size) === i),
    ),
    P_ROWS: rows === 1 ? [1, 2] : [2, 1, 4],
    P_TOKENS: [tokens],
    P_STRIPS: [1],
    P_CHUNK: chunksOf(target, site),
    P_DEPTH: tokens === 1 && !isQuant(site.types.w!.dtype) ? [2, 4, 1] : [1, 2, 4], // registers: each token holds a chunk of x
  }
}

/**
 * Rows of a wave and threads of a block. Two rows share the loads of x, unless that leaves compute units too few waves to
 * hide the memory's latency. The numbers are the best on an H200 over the shapes of 1B and 8B models.
 */
function gpuTile(target: Target, site: Site, tokens: number): { rows: number; block: number } {
  const { N, parts } = shapeOf(site)
  const quant = isQuant(site.types.w!.dtype)
  if (parts === 2 && tokens > 1) return { rows: 1, block: 256 }
  const enough = parts * N >= (quant ? 24 : 40) * target.cus
  if (quant) return { rows: enough ? 2 : 1, block: 256 }
  return enough ? { rows: 2, block: 128 } : { rows: 1, block: 512 }
}

/** Elements a lane loads at a time: 16 bytes of 16-bit weights; more of quantised ones, so that scales are read less often. */
function chunksOf(target: Target, site: Site): readonly number[] {
  if (!isQuant(site.types.w!.dtype)) return [8]
  return [...[16, 32].filter((chunk) => target.wave * chunk <= shapeOf(site).K), 8] // every lane should have work
}

const gemv = (family: Family): KernelSpec =>
  defineKernel({
    ...common(family, 'gemv'),
    serves(site) {
      const { T } = shapeOf(site)
      if (typeof T !== 'number' || T > fewTokens) return `T must be a number up to ${fewTokens}, is ${T}`
      return served(site)
    },
    space: gemvSpace,
    launch({ P_BLOCK, P_ROWS, P_STRIPS, P_TOKENS }: Params, site, target) {
      const { T, N } = shapeOf(site)
      const columns = (P_BLOCK! / target.wave) * P_ROWS! * P_STRIPS!
      return { grid: times(ceilDiv(N, columns), ceilDiv(T, P_TOKENS!)), block: P_BLOCK! }
    },
  })

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

/** Will prelude/tile.h take matrix instructions? They want more of K at a time, and a block's tile the other way round. */
const onMatrixUnit = (target: Target, { types }: Site): boolean =>
  target.matrix === 'mma' && types.x!.dtype === types.w!.dtype && types.x!.dtype !== 'f32'

const gemm = (family: Family): KernelSpec =>
  defineKernel({
    ...common(family, 'gemm'),
    serves: served,
    space: (target, site) => ({
      P_BLOCK: blockSpace(target, [256, 128]),
      P_WAVE_TOKENS: [32, 16],
      ...(onMatrixUnit(target, site)
        ? {
            P_TILE_TOKENS: shapeOf(site).parts === 2 ? [64, 128, 32] : [128, 64, 32],
            P_TILE_ROWS: [64, 128],
            P_DEPTH: [64, 32],
          }
        : { P_TILE_TOKENS: [64, 32], P_TILE_ROWS: [128, 64], P_DEPTH: [32] }),
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
export const matmulKernels: readonly KernelSpec[] = families.flatMap((family) => [
  gemv(family),
  gemmPanel(family),
  gemm(family),
])
