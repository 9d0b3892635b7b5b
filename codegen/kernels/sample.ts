// What is done with logits: penalties, the largest, the k largest, a draw. One block a request.
import { staticDim } from '../../ir/op.ts'
import { argmax, repeatPenalty, sample, topk } from '../../ir/ops/index.ts'
import type { Target } from '../../ir/target.ts'
import { plus, times } from '../extent.ts'
import { defineKernel, type Site } from '../kernel.ts'
import { blockSpace, isFastHost } from './block-space.ts'
import { bytesOf, elementType, rowAlignment, typeAt } from './layout.ts'

const columns = (site: Site, name: string): number => staticDim(typeAt(site, name), 1)

const fixed = (name: string) => (site: Site, target: Target) => ({
  P_COLUMNS: columns(site, name),
  P_ALIGN: rowAlignment(target, columns(site, name)),
  P_X: elementType(typeAt(site, name).dtype),
})

/**
 * One block reads a whole row: on GPUs it should be large, but 1024 threads have too few registers. Emulated threads are
 * better few.
 */
const space = (target: Target) => ({
  P_BLOCK: blockSpace(target, target.platform === 'host' ? [256, 128] : [512, 1024, 256]),
})

const oneBlockARow = (name: string) => ({
  scalars: (site: Site) => ({ R: typeAt(site, name).shape[0]! }),
  launch: ({ P_BLOCK }: Readonly<Record<string, number>>, site: Site) => ({
    grid: typeAt(site, name).shape[0]!,
    block: P_BLOCK!,
  }),
})

export const argmaxKernel = defineKernel({
  implements: argmax,
  template: 'sample/argmax.hip',
  args: ['y', 'x', 'R'],
  fixed: fixed('x'),
  space,
  ...oneBlockARow('x'),
  cost: ({ types }) => ({ bytes: bytesOf(types.x!), flops: times(...types.x!.shape) }),
  tolerance: () => 0,
})

/** Walks over the row until the threshold is found: about 8. */
const walks = 8

export const topkKernel = defineKernel({
  implements: topk,
  template: 'sample/topk.hip',
  args: ['values', 'indices', 'x', 'R'],
  fixed: (site, target) => ({ ...fixed('x')(site, target), P_K: site.attrs.k as number }),
  space,
  ...oneBlockARow('x'),
  cost: ({ types }) => ({ bytes: bytesOf(types.x!), flops: times(walks, 8, ...types.x!.shape) }),
  tolerance: () => 0,
})

export const sampleKernel = defineKernel({
  implements: sample,
  template: 'sample/sample.hip',
  args: ['y', 'logits', 'temperature', 'top_k', 'top_p', 'min_p', 'seed', 'positions', 'R'],
  fixed: fixed('logits'),
  space,
  ...oneBlockARow('logits'),
  cost: ({ types }) => ({ bytes: bytesOf(types.logits!), flops: times(walks, 40, ...types.logits!.shape) }),
  tolerance: () => 0,
})

export const repeatPenaltyKernel = defineKernel({
  implements: repeatPenalty,
  template: 'sample/repeat_penalty.hip',
  args: ['y', 'logits', 'history', 'positions', 'page_table', 'penalty', 'R', 'M'],
  fixed: (site, target) => ({
    ...fixed('logits')(site, target),
    P_Y: elementType(typeAt(site, 'y').dtype),
    P_LOOK_BACK: site.attrs.window as number,
    P_PAGE: staticDim(typeAt(site, 'history'), 2),
  }),
  space: (target) => ({
    P_BLOCK: blockSpace(target, [256, 512, 128]),
    P_TILE: isFastHost(target) ? [32768] : [8192, 4096],
  }),
  scalars: ({ types }) => ({ R: types.logits!.shape[0]!, M: types.page_table!.shape[1]! }),
  launch: (params, site) => ({
    grid: times(typeAt(site, 'logits').shape[0]!, Math.ceil(columns(site, 'logits') / params.P_TILE!)),
    block: params.P_BLOCK!,
  }),
  cost: ({ types }) => ({ bytes: plus(bytesOf(types.logits!), bytesOf(types.y!)), flops: 0 }),
  tolerance: () => 4,
})
