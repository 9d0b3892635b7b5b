// Attention of many queries over the paged cache on matrix units: 16-bit caches, 16-bit activations.
import { attention } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { ceilDiv, times } from '../../extent.ts'
import { defineKernel, type Params, type Site } from '../../kernel.ts'
import { matrixUnit } from '../../matrix-units.ts'
import { blockSpace } from '../block-space.ts'
import { typeAt } from '../layout.ts'
import { cacheArgs, cost, firstReason, fixed, ldsReason, scalars, servesCache, shapeOf, tolerance } from './operands.ts'

const row = 64 // elements of a row of LDS

/** The unit that multiplies what the cache holds, or why none does. */
function unitOf(site: Site, target: Target) {
  const dtype = typeAt(site, 'k_cache').dtype
  if (dtype !== 'f16' && dtype !== 'bf16') return `matrix units take caches of 16 bits, this one is ${dtype}`
  return matrixUnit(target, dtype)
}

function serves(site: Site, target: Target): true | string {
  const unit = unitOf(site, target)
  if (typeof unit === 'string') return unit
  const narrow = (name: string): true | string =>
    typeAt(site, name).dtype !== 'f32' || `${name} is f32, weights of 16 bits would round it`
  const { channels } = shapeOf(site)
  return firstReason(
    servesCache(site),
    narrow('q'),
    narrow('y'),
    channels % 8 === 0 || `a head must be a multiple of 8 channels, has ${channels}`,
  )
}

const waves = (params: Params, target: Target) => params.P_BLOCK! / target.wave

/** Registers of a lane that results, queries and a tile's scores take. */
function registersOf({ P_WAVE_ROWS, P_TILE }: Params, site: Site, target: Target): number {
  const unit = unitOf(site, target)
  if (typeof unit === 'string') return 0
  const { channels } = shapeOf(site)
  const queries = Math.ceil(channels / unit.step) * unit.registers.x * (P_WAVE_ROWS! / unit.columns)
  return ((Math.ceil(channels / 16) * 16 + P_TILE!) * P_WAVE_ROWS!) / target.wave + queries
}
/** With more of them compilers spill: addresses, values being transposed and fragments take as many again. */
const maxRegisters = 120

function ldsBytes(params: Params, target: Target, channels: number): number {
  const keys = params.P_TILE! * Math.ceil(channels / row)
  const values = Math.ceil(channels / 16) * 16
  return (keys + values + waves(params, target) * params.P_WAVE_ROWS!) * row * 2
}

export const attentionPrefillMatrixKernel = defineKernel({
  name: 'attention_prefill_matrix',
  implements: attention,
  template: 'attention/prefill_matrix.hip',
  entry: 'attention_prefill_matrix',
  args: ['y', 'q', ...cacheArgs, 'T', 'M'],
  serves,
  fixed: (site, target) => {
    const unit = unitOf(site, target)
    return { ...fixed(site), ...(typeof unit === 'string' ? {} : { P_MATRIX_UNIT: unit.define }) }
  },
  space: (target, site) => {
    const { group } = shapeOf(site)
    const heads = Math.min(group, 8)
    const queries = (rows: number) => Math.max(1, Math.floor(rows / heads))
    return {
      P_BLOCK: blockSpace(target, [256, 128]),
      P_WAVE_ROWS: [16],
      P_TILE: [64, 32],
      P_HEADS: [heads],
      P_QUERIES: [queries(128), queries(64)],
    }
  },
  valid: (params, target, site) => {
    const rows = waves(params, target) * params.P_WAVE_ROWS!
    if (params.P_QUERIES! * params.P_HEADS! > rows) return `the waves have ${rows} rows`
    const registers = registersOf(params, site, target)
    if (registers > maxRegisters) return `results, queries and scores take ${registers} registers of a lane`
    const bytes = ldsBytes(params, target, shapeOf(site).channels)
    return bytes <= target.ldsMaxBytes || ldsReason(bytes, target)
  },
  scalars,
  launch: (params, site, target) => ({
    grid: times(
      ceilDiv(shapeOf(site).T, params.P_QUERIES!),
      shapeOf(site).kvHeads * Math.ceil(shapeOf(site).group / params.P_HEADS!),
    ),
    block: params.P_BLOCK!,
    ldsBytes: ldsBytes(params, target, shapeOf(site).channels),
  }),
  cost,
  tolerance,
})
