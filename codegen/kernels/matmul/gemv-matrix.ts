// Matmuls of 2 to 32 tokens with 16-bit weights, on matrix instructions that take them as they come from memory.
import type { Target } from '../../../ir/target.ts'
import { byteSize, rowBytes } from '../../../ir/type.ts'
import { times } from '../../extent.ts'
import { defineKernel, type KernelSpec, type Params, type Site } from '../../kernel.ts'
import { preferring, quickest } from './choices.ts'
import { gridOf, normDefines, persistent, readTime, registersFor, tokensOf } from './gemv.ts'
import { common, type Family, served, shapeOf } from './operands.ts'

const maxTokens = 32
/** of the columns, where slices of K are added up; the same in gemv_matrix.hip */
const maxShares = 1024

/** An x of 16 bits is one number of the weights' type; one of f32 takes three to keep its 24 bits, two where y has 16 itself. */
function splitsOf({ types }: Site): number {
  if (types.x!.dtype === types.w!.dtype) return 1
  return types.y!.dtype === 'f32' ? 3 : 2
}

function serves(site: Site, target: Target): true | string {
  const { x, w, norm } = site.types
  const { T, K } = shapeOf(site)
  if (target.matrix !== 'mma') return 'needs matrix instructions of 16 × 8 × 16'
  if (w!.dtype !== 'f16' && w!.dtype !== 'bf16') return `w must be f16 or bf16, is ${w!.dtype}`
  if (w!.dtype === 'f16' && (norm || x!.dtype !== 'f16')) return 'f16 has not the range for every x'
  if (K % 32 !== 0) return `K must be a multiple of 32, is ${K}`
  if (typeof T !== 'number' || T < 2 || T > maxTokens) return `T must be a number from 2 to ${maxTokens}, is ${T}`
  return served(site)
}

/** Constants of gemv_matrix.hip by the same names, and what follows for a block. */
function layoutOf(params: Params, target: Target, site: Site) {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCK, P_SEGMENTS, P_SLICES, P_PASSES, P_DEPTH, P_TILE } = params as Record<string, number>
  const [tokens, splits, waves] = [tokensOf(site), splitsOf(site), P_BLOCK! / target.wave]
  const teams = Math.floor(waves / P_SEGMENTS!)
  const across = Math.ceil((tokens * splits) / 8)
  const merged = tokens % 8 === 0
  const slices = P_SLICES!
  const shares = Math.max(1, Math.floor(gridOf(params, site, target) / slices))
  const allSteps = K / 32 / slices
  const norm = site.types.norm ? rowBytes(site.types.norm.dtype, 32) : 0
  const steps = Math.ceil(Math.ceil(allSteps / (P_SEGMENTS! * P_PASSES!)) / P_DEPTH!) * P_DEPTH!
  const terms = P_SEGMENTS! * (merged ? 1 : splits)
  const sums = tokens * (P_TILE! * teams * 16 + 4) * (terms | 1) * 4
  const x = P_SEGMENTS! * steps * across * Math.min(8, tokens * splits) * 64
  const batches = Math.ceil((Math.ceil(N / shares) * parts) / 16)
  return {
    shares,
    teams,
    allSteps,
    steps,
    /** 16 rows of w each, of the block with most columns */
    batches,
    turns: Math.ceil(batches / teams),
    bytes:
      P_PASSES === 1
        ? x + Math.max((slices === 1 ? 2 : 1) * sums, steps * P_SEGMENTS! * norm)
        : 2 * (x + steps * P_SEGMENTS! * norm) + sums,
    registers: 8 * P_DEPTH! + 4 * (merged ? tokens / 8 : across) + (across > 1 ? 8 : 0) + (P_PASSES! > 1 ? 4 : 0) + 40,
  }
}

function valid(params: Params, target: Target, site: Site): true | string {
  const { P_BLOCK, P_BLOCKS_PER_CU, P_SLICES, P_PASSES, P_TILE } = params as Record<string, number>
  if (P_BLOCK! > target.maxBlock) return `no blocks of ${P_BLOCK} threads`
  const { teams, bytes, registers, steps, allSteps } = layoutOf(params, target, site)
  if (P_SLICES! > 1 && site.types.norm) return 'a slice does not see all of x, for its norm'
  if (!Number.isInteger(allSteps)) return `${P_SLICES} slices of K are not whole steps`
  const tokens = tokensOf(site)
  if (P_BLOCK! < 4 * 2 ** Math.ceil(Math.log2(tokens)))
    return `a block of ${P_BLOCK} cannot bring ${tokens} tokens to LDS`
  if (teams < 1) return 'a row has more segments than a block has waves'
  if (P_PASSES! > 1 && P_TILE! > 1) return 'with several passes waves pass a barrier in every turn'
  const most = Math.min(target.ldsMaxBytes, Math.floor(target.ldsPerCuBytes / P_BLOCKS_PER_CU!) - 1024) - 4096
  if (bytes > most) return `x and the sums take ${bytes} bytes of LDS, there are ${most}`
  if (steps > (2 * shapeOf(site).K) / 32) return 'more steps than a row has'
  const allowed = registersFor(params, target)
  return registers <= allowed || `takes about ${registers} registers, ${allowed} leave room for the blocks of a CU`
}

const choices = {
  P_BLOCK: [512, 256],
  P_BLOCKS_PER_CU: [1, 2],
  P_SEGMENTS: [16, 8, 4, 2, 1],
  P_SLICES: [1, 2, 4, 8],
  P_PASSES: [1, 2, 4, 7, 8, 14, 16, 28],
  P_DEPTH: [8, 7, 6, 4],
  P_TILE: [1, 2],
  P_BUNCH: [4, 2],
} as const
const searched = ['P_BLOCK', 'P_BLOCKS_PER_CU', 'P_SEGMENTS', 'P_PASSES', 'P_SLICES', 'P_DEPTH', 'P_TILE']

/**
 * Bytes of loads in flight that a CU has room for. NVIDIA's wait for them in L1, which has what LDS leaves of their common
 * memory, in a few sizes.
 */
function inFlightBeside(ldsBytes: number, { platform, ldsPerCuBytes }: Target): number {
  if (platform !== 'nvidia') return Number.POSITIVE_INFINITY
  const ldsCarveout = [8, 16, 32, 64, 100, 132, 164, 196].find((size) => size * 1024 >= ldsBytes)
  return 0.8 * (ldsPerCuBytes + 28 * 1024 - (ldsCarveout ? ldsCarveout * 1024 : ldsPerCuBytes))
}

/**
 * As modelledTime of gemv.ts, and besides: x comes from L2 to each block, in several passes once a turn; waves pass a barrier once a
 * tile, and in several passes twice a pass.
 */
function modelledTime(params: Params, target: Target, site: Site): number {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCKS_PER_CU, P_SEGMENTS, P_SLICES, P_PASSES, P_DEPTH, P_TILE } = params as Record<string, number>
  const { shares, teams, steps, batches, turns, allSteps, bytes } = layoutOf(params, target, site)
  const covered = (steps * P_SEGMENTS! * P_PASSES!) / allSteps
  const waves = P_BLOCKS_PER_CU! * Math.min(teams, batches) * P_SEGMENTS!
  const even = (N * parts) / 16 / target.cus
  const share = (P_BLOCKS_PER_CU! * batches) / P_SLICES! / Math.max(even, 1)
  // of the lines that are loaded by halves, L2 fetches the whole
  const flying = Math.min(1536 * waves * P_DEPTH!, inFlightBeside(P_BLOCKS_PER_CU! * (bytes + 2048), target))
  const weights = 2 * parts * N * K
  const idle = (turns === 1 ? 0.1 : 0.25) * ((turns * teams) / batches - 1) // teams without work in the last turn
  const x = shares * byteSize(site.types.x!) * (P_PASSES! > 1 ? turns : 1)
  const combined = (4 * P_SLICES! * tokensOf(site) * parts * N) / shares // bytes that the last block of a share reads
  // in units of the time in which a CU reads 32 KiB, about a microsecond
  const barriers =
    0.1 * Math.ceil(turns / P_TILE!) +
    (P_PASSES! > 1 ? 0.3 * turns * P_PASSES! : 0) +
    (P_SLICES! > 1 ? 3 + combined / 20000 : 0)
  const own = weights / target.cus / 32768
  return (
    readTime(Math.sqrt(share) * covered, flying, Math.ceil(waves / target.simds)) *
    Math.max(1, 0.85 * (1 + x / weights)) *
    (1 + idle) *
    (1 + (0.5 * barriers) / own)
  )
}

function space(target: Target, site: Site): Record<string, readonly number[]> {
  const best = quickest(choices, searched, (params) =>
    valid(params, target, site) === true ? modelledTime(params, target, site) : undefined,
  )
  const ordered = Object.entries(choices).map(([name, values]) => [name, preferring(best?.[name], values)] as const)
  return { ...Object.fromEntries(ordered), P_TOKENS: [tokensOf(site)], P_SPLITS: [splitsOf(site)] }
}

/** That of a sum of products of x' as the matrix instruction gets it: rounded to 16 bits where x has 16 and is normed. */
function tolerance(family: Family, site: Site): number {
  const { x, y, norm } = site.types
  const coarse = norm && y!.dtype === 'f32' && x!.dtype !== 'f32'
  return common(family, '').tolerance(site) * (coarse ? 2 ** (x!.dtype === 'bf16' ? 16 : 13) : 1)
}

/** Beyond as many tokens each block would take longer to norm all of them than a kernel of its own takes. */
const maxNormedTokens = 16

const matrix = (family: Family) => ({
  ...persistent(family, 'gemv_matrix'),
  serves,
  space,
  valid,
  args: ['y', 'partial', 'arrivals', 'x', 'norm', 'w', 'bias', 'residual', 'T'],
  tolerance: (site: Site) => tolerance(family, site),
  scratch: ({ P_SLICES }: Params, site: Site) => {
    const { T, N, parts } = shapeOf(site)
    return P_SLICES === 1 ? {} : { partial: times(T, 4 * P_SLICES! * N * parts) }
  },
  counters: ({ P_SLICES }: Params) => (P_SLICES === 1 ? {} : { arrivals: 4 * maxShares }),
  launch: (params: Params, site: Site, target: Target) => ({
    grid: gridOf(params, site, target),
    block: params.P_BLOCK!,
    ldsBytes: layoutOf(params, target, site).bytes,
  }),
})

export const gemvMatrix = (family: Family): KernelSpec =>
  defineKernel({ ...matrix(family), name: `gemv_matrix${family.suffix}` })

export const normedGemvMatrix = (family: Family): KernelSpec => {
  const shared = matrix(family)
  return defineKernel({
    ...shared,
    serves(site, target) {
      const { T } = shapeOf(site)
      if (typeof T === 'number' && T > maxNormedTokens) return `norms ${maxNormedTokens} tokens at most, T is ${T}`
      return serves(site, target)
    },
    name: `rms_norm_gemv_matrix${family.suffix}`,
    fixed: (site, target) => ({ ...shared.fixed(site, target), ...normDefines(site) }),
  })
}
