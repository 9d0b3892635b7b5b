// Attention of few queries over the paged cache, a read of the cache: in one block a head or split over positions, and with
// rotation and appending in the same kernel.
import { attention, ropeAttention } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import type { Dtype } from '../../../ir/type.ts'
import { times } from '../../extent.ts'
import { defineKernel, type Params, type Site } from '../../kernel.ts'
import { elementType, placeDefines, rowsOf, servesRows, typeAt } from '../layout.ts'
import { angleDefines } from '../rope/rope.ts'
import {
  fewBlocks,
  fewFits,
  fewLaunch,
  fewLayout,
  fewSpace,
  fewValid,
  fillsDevice,
  splitScratch,
  splitsFor,
} from './few.ts'
import { cacheArgs, cost, firstReason, fixed, scalars, servesCache, shapeOf, tolerance } from './operands.ts'

/** Above this many tokens of a request keys and values are worth holding in LDS for several of them. */
const maxFewTokens = 8
/** Tokens of as many requests share no keys. */
const maxRequests = 32
function isDecode(site: Site): true | string {
  const { T } = shapeOf(site)
  if (typeof T !== 'number') return 'T is not known'
  const alone = typeAt(site, 'page_table').shape[0] === T
  if (T <= (alone ? maxRequests : maxFewTokens)) return true
  return `needs T ≤ ${maxFewTokens}, or ${maxRequests} of as many requests; T is ${T}`
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
