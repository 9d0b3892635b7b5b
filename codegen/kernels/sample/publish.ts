// The end of a decode step: its tokens are put where the host reads them, and the next step's positions are set.
import { staticDim } from '../../../ir/op.ts'
import { publish } from '../../../ir/ops/index.ts'
import { times } from '../../extent.ts'
import { defineKernel } from '../../kernel.ts'
import { blockSpace } from '../block-space.ts'
import { bytesOf, typeAt } from '../layout.ts'

export const publishKernel = defineKernel({
  implements: publish,
  template: 'sample/publish.hip',
  args: ['ring', 'next_positions', 'next_step', 'token', 'positions', 'step', 'R'],
  fixed: (site) => ({ P_SLOTS: staticDim(typeAt(site, 'ring'), 0) }),
  space: (target) => ({ P_BLOCK: blockSpace(target, [64]) }),
  scalars: (site) => ({ R: typeAt(site, 'token').shape[0]! }),
  launch: ({ P_BLOCK }) => ({ grid: 1, block: P_BLOCK! }),
  cost: ({ types }) => ({ bytes: times(5, bytesOf(types.token!)), flops: 0 }),
  tolerance: () => 0,
})
