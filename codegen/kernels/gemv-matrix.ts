// Matmuls of 2 to 16 tokens with 16-bit weights, on matrix instructions that take them as they come from memory.
import type { Target } from '../../ir/target.ts'
import { defineKernel, type KernelSpec, type Params, type Site } from '../kernel.ts'
import { gridOf, normDefines, persistent, readTime, registersFor, tokensOf } from './gemv.ts'
import { type Family, served, shapeOf } from './matmul-operands.ts'

/** Columns of the instructions: tokens, times the numbers of the weights' type that an x is split into. */
const mostColumns = 16

/** An x that is not of the weights' type takes three bf16 to keep its 24 bits; two are enough where y has 16 bits itself. */
function splitsOf({ types }: Site): number {
  if (!types.norm && types.x!.dtype === types.w!.dtype) return 1
  return types.y!.dtype === 'f32' ? 3 : 2
}

function serves(site: Site, target: Target): true | string {
  const { x, w, norm } = site.types
  const { T, K } = shapeOf(site)
  if (target.matrix !== 'mma') return 'needs matrix instructions of 16 × 8 × 16'
  if (w!.dtype !== 'f16' && w!.dtype !== 'bf16') return `w must be f16 or bf16, is ${w!.dtype}`
  if (w!.dtype === 'f16' && (norm || x!.dtype !== 'f16')) return 'f16 has not the range for every x'
  if (K % 32 !== 0) return `K must be a multiple of 32, is ${K}`
  if (typeof T !== 'number' || T < 2) return `T must be a number from 2, is ${T}`
  const columns = T * splitsOf(site)
  return columns <= mostColumns ? served(site) : `takes ${mostColumns} columns of x, ${columns} are needed`
}

/** Constants of gemv_matrix.hip by the same names. */
function layoutOf(params: Params, target: Target, site: Site) {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCK, P_STEPS, P_TILE } = params as Record<string, number>
  const [tokens, splits, waves] = [tokensOf(site), splitsOf(site), P_BLOCK! / target.wave]
  const segments = Math.min(waves, Math.ceil(K / 32 / P_STEPS!))
  const teams = Math.floor(waves / segments)
  const across = Math.ceil((tokens * splits) / 8)
  const columns = 16 / parts
  const share = Math.ceil(N / gridOf(params, site, target))
  return {
    segments,
    teams,
    passes: Math.ceil(K / 32 / (segments * P_STEPS!)),
    batches: Math.ceil(share / (columns * teams)),
    bytes: 8 * P_TILE! * teams * 16 * tokens * ((segments * splits) | 1),
    registers: P_STEPS! * (8 + 4 * across) + 4 * across + (site.types.norm ? 88 : 52),
  }
}

function valid(params: Params, target: Target, site: Site): true | string {
  const { bytes, registers } = layoutOf(params, target, site)
  if (params.P_BLOCK! > target.maxBlock) return `no blocks of ${params.P_BLOCK} threads`
  if (bytes > target.ldsBytes) return `sums take ${bytes} bytes of LDS, there are ${target.ldsBytes}`
  const allowed = registersFor(params, target)
  return registers <= allowed || `takes about ${registers} registers, ${allowed} leave room for the blocks of a CU`
}

const choices = {
  P_BLOCK: [512, 256, 1024],
  P_BLOCKS_PER_CU: [1, 2, 3],
  P_STEPS: [8, 7, 6, 4, 5, 3, 2, 10, 12, 16],
  P_TILE: [2, 1, 3, 4, 6],
} as const

/** As modelledTime of gemv.ts; a share that takes several tiles reads x again in each pass over each. */
function modelledTime(params: Params, target: Target, site: Site): number {
  const { K, N, parts } = shapeOf(site)
  const { P_BLOCKS_PER_CU, P_STEPS, P_TILE } = params as Record<string, number>
  const { segments, teams, passes, batches } = layoutOf(params, target, site)
  const steps = P_BLOCKS_PER_CU! * teams * segments * batches * passes * P_STEPS!
  const even = (N * parts * K) / 16 / 32 / target.cus
  const waves = P_BLOCKS_PER_CU! * teams * segments
  const again = passes > 1 ? Math.ceil(batches / P_TILE!) - 1 : 0
  return readTime(steps / even, waves * P_STEPS! * 1024, waves / target.simds) * (1 + 0.1 * again)
}

function space(target: Target, site: Site): Record<string, readonly number[]> {
  let [best, least] = [{} as Params, Number.POSITIVE_INFINITY]
  for (const P_BLOCK of choices.P_BLOCK)
    for (const P_BLOCKS_PER_CU of choices.P_BLOCKS_PER_CU)
      for (const P_STEPS of choices.P_STEPS)
        for (const P_TILE of choices.P_TILE) {
          const params = { P_BLOCK, P_BLOCKS_PER_CU, P_STEPS, P_TILE }
          if (valid(params, target, site) !== true) continue
          const time = modelledTime(params, target, site)
          if (time < least * 0.995) [best, least] = [params, time]
        }
  const ordered = Object.entries(choices).map(([name, values]): [string, readonly number[]] => {
    const first = best[name]
    return [name, first === undefined ? values : [first, ...values.filter((value) => value !== first)]]
  })
  return { ...Object.fromEntries(ordered), P_TOKENS: [tokensOf(site)], P_SPLITS: [splitsOf(site)] }
}

const matrix = (family: Family) => ({
  ...persistent(family, 'gemv_matrix'),
  serves,
  space,
  valid,
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
    name: `rms_norm_gemv_matrix${family.suffix}`,
    fixed: (site) => ({ ...shared.fixed(site), ...normDefines(site) }),
  })
}
