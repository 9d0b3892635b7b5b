// Matmuls of a few tokens, a read of the weights: gemv on the host's SIMD registers, gemv_stream in the blocks and waves of a
// GPU. The latter also norms x on its way in. gemv-matrix.ts has the one for matrix instructions.
import type { Target } from '../../../ir/target.ts'
import { type Dtype, isQuant, rowBytes } from '../../../ir/type.ts'
import { ceilDiv, times } from '../../extent.ts'
import { type Defines, defineKernel, type KernelSpec, type Params, type Site } from '../../kernel.ts'
import { isFastHost } from '../block-space.ts'
import { preferring, quickest } from './choices.ts'
import { common, type Family, maxFewTokens, servesFewTokens, shapeOf } from './operands.ts'

export const tokensOf = (site: Site): number => {
  const { T } = shapeOf(site)
  return typeof T === 'number' ? Math.max(T, 1) : maxFewTokens
}

// ---- on the host ---------------------------------------------------------------------------------------------------

/** Blocks that keep the host's threads evenly busy without costing more to hand out than to run. */
const hostBlocks = 32

export const gemv = (family: Family): KernelSpec =>
  defineKernel({
    ...common(family, 'gemv'),
    serves: (site, target) =>
      isFastHost(target) ? servesFewTokens(site) : 'needs blocks of one thread: the host in fast mode',
    space(_, site) {
      const strips = Math.max(1, Math.min(64, Math.floor(shapeOf(site).N / (2 * hostBlocks))))
      return {
        P_BLOCK: [1],
        P_ROWS: [2, 1, 4],
        P_TOKENS: [Math.min(tokensOf(site), 4)],
        P_STRIPS: [strips],
        P_DEPTH: [2, 1],
      }
    },
    launch({ P_ROWS, P_STRIPS, P_TOKENS }: Params, site) {
      const { T, N } = shapeOf(site)
      return { grid: times(ceilDiv(N, P_ROWS! * P_STRIPS!), ceilDiv(T, P_TOKENS!)), block: 1 }
    },
  })

// ---- on GPUs -------------------------------------------------------------------------------------------------------

/**
 * A lane's unit of a row (lane_unit.h): elements, registers that it takes on its way, scales, and of x in fixed point
 * (fixed_x.h) the neighbours that share a step, and registers of its sums: for each part, and in all.
 */
interface Unit {
  readonly elements: number
  readonly words: number
  readonly groups: number
  readonly span: number
  readonly starts: number
  readonly bases: number
}
const units: Partial<Record<Dtype, Unit>> = {
  q8_0: { elements: 16, words: 5, groups: 1, span: 32, starts: 0, bases: 0 },
  q4_0: { elements: 32, words: 5, groups: 1, span: 32, starts: 1, bases: 0 },
  q4_1: { elements: 32, words: 5, groups: 1, span: 32, starts: 0, bases: 1 },
  q5_0: { elements: 32, words: 6, groups: 1, span: 32, starts: 1, bases: 0 },
  q5_1: { elements: 32, words: 6, groups: 1, span: 32, starts: 0, bases: 1 },
  q4_k: { elements: 32, words: 8, groups: 2, span: 64, starts: 0, bases: 2 },
  q5_k: { elements: 32, words: 12, groups: 2, span: 64, starts: 0, bases: 2 },
  q6_k: { elements: 32, words: 11, groups: 2, span: 128, starts: 2, bases: 0 },
}

/**
 * Units of q4_k in runs of 32 bytes unpack each scale once, and hold twice as much of x: for one token, on rows that give
 * every lane of a wave so much, and where compilers need few registers beside.
 */
const longRuns = (target: Target, site: Site): boolean =>
  target.platform !== 'amd' && tokensOf(site) === 1 && shapeOf(site).K >= 64 * target.wave
const longQ4K: Unit = { elements: 64, words: 12, groups: 2, span: 64, starts: 0, bases: 2 }

function unitOf(target: Target, site: Site): Unit {
  const { dtype } = site.types.w!
  const { K } = shapeOf(site)
  const known = dtype === 'q4_k' && longRuns(target, site) ? longQ4K : units[dtype]
  if (known) return known
  const bytes = rowBytes(dtype, 1)
  const elements = [16 / bytes, 4, 2].find((n) => K % n === 0) ?? 1
  return { elements, words: Math.max(1, (elements * bytes) / 4), groups: 0, span: 1, starts: 0, bases: 0 }
}

/** Signed bytes of an element of x in fixed point: as exact as y is. */
const digitsOf = ({ types }: Site): number => (types.y!.dtype === 'f32' ? 3 : 2)

/** Tokens whose x is in LDS at a time. */
const stagedTokens = (tokens: number, tokenBytes: number): number =>
  Math.max(1, Math.min(tokens, Math.floor(32768 / tokenBytes)))

/** The largest divisor of n that is at most `most`, or 1. */
const divisorUpTo = (most: number, n: number): number =>
  most <= 1 ? 1 : n % most === 0 ? most : divisorUpTo(most - 1, n)

/** How the waves of a block share a row, and what a batch of theirs is. Constants of gemv_stream.hip by the same names. */
function layoutOf(params: Params, target: Target, site: Site) {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCK, P_BLOCKS_PER_CU, P_CHUNKS, P_ROWS, P_DEPTH, P_TURNS, P_HELD } = params as Record<string, number>
  const unit = unitOf(target, site)
  const [tokens, waves] = [tokensOf(site), P_BLOCK! / target.wave]
  const segments = Math.ceil(K / unit.elements / (target.wave * P_CHUNKS!))
  const teams = Math.floor(waves / segments)
  const lines = P_ROWS! * parts
  const together = P_HELD ? tokens : Math.min(tokens, unit.elements > 8 ? 1 : 2)
  const fixed = P_HELD && unit.groups > 0
  const digits = digitsOf(site)
  const xUnit = fixed
    ? (digits * unit.elements) / 4 + 1 + unit.starts * (digits - 1) + unit.bases
    : unit.elements + unit.groups
  const x = together * (P_HELD ? P_CHUNKS! : 1) * xUnit
  const kept = !P_HELD ? 1 : divisorUpTo(Math.min(P_DEPTH!, Math.floor(16 / (lines * together))), P_DEPTH!)
  const alive = x + P_DEPTH! * P_CHUNKS! * lines * unit.words + kept * lines * together
  const padding = unit.elements > 16 ? unit.elements : 0
  const tokenBytes = Math.ceil((digits * (K + padding) + 4 * (K / unit.span)) / 16) * 16
  const sumBytes = 8 * P_TURNS! * P_DEPTH! * teams * lines * tokens * (segments | 1)
  return {
    segments,
    teams,
    lines,
    /** of a batch, in each lane */
    sums: lines * together,
    /** batches whose sums are added up together */
    kept,
    /** columns of a block, at most */
    columns: Math.ceil(N / Math.min(target.cus * P_BLOCKS_PER_CU!, N)),
    bytes: fixed ? Math.ceil(sumBytes / 16) * 16 + stagedTokens(tokens, tokenBytes) * tokenBytes : sumBytes,
    /** about as many as compilers take: what is alive, addresses, and on AMD what their schedulers bring forward */
    registers:
      target.platform === 'nvidia' && fixed
        ? alive + (unit.elements > 32 ? 25 : 29) + 2 * (P_CHUNKS! - 1) + 8 * (together - 1)
        : alive * (target.platform !== 'amd' ? 1.1 : together > 1 ? 2 : 1.5) +
          32 +
          (unit.groups ? 20 : 0) +
          (site.types.norm ? 8 : 0) +
          (together > 1 ? 16 : 0),
    /** products in the body of the loop */
    body: P_DEPTH! * P_CHUNKS! * lines * unit.elements * together,
  }
}

/** Vector registers that a lane may have if P_BLOCKS_PER_CU blocks are to be resident. */
export function registersFor({ P_BLOCK, P_BLOCKS_PER_CU }: Params, { registers, wave, simds }: Target): number {
  if (!registers) return 128 // of an emulated GPU
  const waves = Math.ceil((P_BLOCK! * P_BLOCKS_PER_CU!) / wave / simds)
  const share = Math.floor(registers.perSimd / waves / registers.granule) * registers.granule
  return waves > registers.maxWaves ? 0 : Math.min(share, registers.perWave - 24)
}

/**
 * Bytes that should be in flight to a CU. Measured on an H200 with chains of decode matmuls: 32, 64, 96 and 128 KB bring
 * 0.57, 0.76, 0.78 and 0.84 of the bandwidth of a plain read.
 */
const wantedInFlight = 96 * 1024
/** Waves of a SIMD that hide each other's additions and waits. */
const wantedWaves = 4

/**
 * Time of a choice relative to a perfect read of the weights: what the busiest CU loads beyond its even share, too few bytes
 * in flight, and the instructions that add up lanes.
 */
function modelledTime(params: Params, target: Target, site: Site): number {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCKS_PER_CU, P_CHUNKS, P_ROWS, P_DEPTH } = params as Record<string, number>
  const { segments, teams, lines, columns, body, kept } = layoutOf(params, target, site)
  const unit = unitOf(target, site)
  const tokens = tokensOf(site)
  const batches = Math.ceil(columns / (P_ROWS! * teams))
  const loads = P_BLOCKS_PER_CU! * teams * segments * batches * lines * P_CHUNKS!
  const even = (N * parts * Math.ceil(K / unit.elements / target.wave)) / target.cus
  const wave = (target.wave * rowBytes(site.types.w!.dtype, K) * unit.elements) / K
  const flying = P_BLOCKS_PER_CU! * teams * segments * Math.min(P_DEPTH!, batches) * lines * P_CHUNKS! * wave
  const added = kept * lines
  const adding = (3 * added * tokens + 12) / (added * P_CHUNKS! * (2 * unit.elements * tokens + 4))
  const decodes = decodesCodes(target, site)
  const waves = (P_BLOCKS_PER_CU! * teams * segments) / target.simds
  return (
    readTime(loads / even, flying * (P_DEPTH! / (P_DEPTH! + 0.5)), waves, decodes ? 0.08 : 0.4) *
    // instructions that do not fit the first caches; a chain's kernels find none of theirs there
    (decodes ? 1 + body / 1536 : 1 + Math.max(0, body - 512) / 1024) *
    (1 + (decodes ? 0.6 : 0.3) * adding)
  )
}

/**
 * Do instructions, more than bytes in flight, bound the reading of these weights? Measured on an H200 over settings of an
 * 8B model's matmuls (`npm run test:gpu -- --only sweep --sweep llama-8b:q4_k`): 32 KB in flight to a multiprocessor are
 * almost as good as 64; what costs is code that each launch fetches anew. Not measured on AMD, nor for several tokens.
 */
const decodesCodes = (target: Target, site: Site): boolean =>
  target.platform !== 'amd' && isQuant(site.types.w!.dtype) && tokensOf(site) === 1

/**
 * Time of a read relative to the best.
 * @param share what the busiest CU reads, relative to an even share
 * @param flying bytes in flight to a CU
 * @param waves of a SIMD
 * @param weight of too few bytes in flight
 */
export const readTime = (share: number, flying: number, waves: number, weight = 0.4): number =>
  Math.max(1, share) * Math.max(1, wantedInFlight / flying) ** weight * (1 + 0.2 * Math.max(0, wantedWaves - waves))

const choices = {
  P_BLOCK: [512, 1024, 256],
  P_BLOCKS_PER_CU: [2, 1, 3, 4],
  P_CHUNKS: [1, 2, 4, 3, 5, 6, 7, 8, 12, 16, 32],
  P_ROWS: [4, 2, 8, 1],
  P_DEPTH: [2, 4, 3, 1],
  P_TURNS: [2, 4, 1],
  P_HELD: [1, 0],
} as const
const searched = ['P_BLOCK', 'P_BLOCKS_PER_CU', 'P_CHUNKS', 'P_ROWS', 'P_DEPTH', 'P_TURNS', 'P_HELD']
const best = new Map<string, Params>()

function validStream(params: Params, target: Target, site: Site): true | string {
  const { teams, segments, bytes, registers, sums } = layoutOf(params, target, site)
  if (sums > 32) return `a batch has ${sums} sums a lane, 32 can be added up at once`
  const waves = params.P_BLOCK! / target.wave
  if (params.P_BLOCK! > target.maxBlock || !Number.isInteger(waves)) return `no blocks of ${params.P_BLOCK} threads`
  if (teams < 1) return `a row has ${segments} segments, a block ${waves} waves`
  if (bytes > target.ldsBytes) return `sums and x take ${bytes} bytes of LDS, there are ${target.ldsBytes}`
  const blocks = params.P_BLOCKS_PER_CU!
  if (bytes * blocks > target.ldsPerCuBytes) return `${blocks} blocks of ${bytes} bytes of LDS do not fit a CU`
  const allowed = registersFor(params, target)
  return registers <= allowed || `takes about ${registers} registers, ${allowed} leave room for the blocks of a CU`
}

/** The choice of the least modelled time; the first of equals. */
function bestGuess(target: Target, site: Site): Params | undefined {
  const { K, N, parts } = shapeOf(site)
  const key = [site.op, target.name, target.wave, target.cus, site.types.w!.dtype, tokensOf(site), K, N, parts].join(
    ' ',
  )
  const known = best.get(key)
  if (known) return known
  // a guess must not spill: schedulers of AMD's compilers bring more forward the more there is
  const margin = target.platform === 'amd' && tokensOf(site) > 1 ? 0.6 : decodesCodes(target, site) ? 1 : 0.9
  const most = target.platform === 'amd' ? 168 : 232
  const P_TURNS = decodesCodes(target, site) ? 4 : 2
  const found = quickest({ ...choices, P_TURNS: [P_TURNS] }, searched, (params) => {
    if (validStream(params, target, site) !== true) return undefined
    const { registers } = layoutOf(params, target, site)
    if (registers > Math.min(most, margin * registersFor(params, target))) return undefined
    return modelledTime(params, target, site) * (params.P_HELD ? 1 : 1.5) // loads of x in every batch
  })
  if (found) best.set(key, found)
  return found
}

/** Everything that the tuner may try, the best guess first. */
function streamSpace(target: Target, site: Site): Record<string, readonly number[]> {
  const guess = bestGuess(target, site)
  const { K } = shapeOf(site)
  const chunks = Math.ceil(K / unitOf(target, site).elements / target.wave)
  return {
    ...Object.fromEntries(
      Object.entries(choices).map(([name, values]): [string, readonly number[]] => {
        const first = guess?.[name]
        const some = name === 'P_CHUNKS' ? values.filter((n) => n <= chunks || n === first || n === 1) : values
        return [name, preferring(first, some)]
      }),
    ),
    P_TOKENS: [tokensOf(site)],
    ...(isQuant(site.types.w!.dtype) ? { P_DIGITS: [digitsOf(site)] } : {}),
    ...(site.types.w!.dtype === 'q4_k' ? { P_RUN: [longRuns(target, site) ? 32 : 16] } : {}),
  }
}

/** What the kernels of a GPU have in common: their arguments, and a grid that fills the CUs. */
export const persistent = (family: Family, template: string) => ({
  ...common(family, 'gemv'),
  template: `matmul/${template}.hip`,
  args: ['y', 'x', 'norm', 'w', 'bias', 'residual', 'T'],
})

export const gridOf = ({ P_BLOCKS_PER_CU }: Params, site: Site, target: Target): number =>
  Math.min(shapeOf(site).N, target.cus * P_BLOCKS_PER_CU!)

/** Defines of share.h for an op that norms x. */
export const normDefines = (site: Site): Defines => ({
  P_NORM: 1,
  P_NORM_ELEM: `${site.types.norm!.dtype}_t`,
  P_EPS: site.attrs.eps as number,
})

const stream = (family: Family) => ({
  ...persistent(family, 'gemv_stream'),
  serves: (site: Site, target: Target) =>
    isFastHost(target) ? 'needs waves: a GPU, or the host in emulation' : servesFewTokens(site),
  space: streamSpace,
  valid: validStream,
  launch: (params: Params, site: Site, target: Target) => ({
    grid: gridOf(params, site, target),
    block: params.P_BLOCK!,
    ldsBytes: layoutOf(params, target, site).bytes,
  }),
})

export const gemvStream = (family: Family): KernelSpec =>
  defineKernel({ ...stream(family), name: `gemv_stream${family.suffix}` })

export const normedGemvStream = (family: Family): KernelSpec => {
  const shared = stream(family)
  return defineKernel({
    ...shared,
    name: `rms_norm_gemv${family.suffix}`,
    fixed: (site, target) => ({ ...shared.fixed(site, target), ...normDefines(site) }),
  })
}
