// Attention of many queries over the paged cache: two products, keys and values held in LDS for several tokens.

import { attention } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { ceilDiv, times } from '../../extent.ts'
import { defineKernel, type Params } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import { cacheArgs, cost, fixed, ldsReason, type Shape, scalars, servesCache, shapeOf, tolerance } from './operands.ts'

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
