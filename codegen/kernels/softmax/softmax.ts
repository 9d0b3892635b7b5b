// Softmax over the last dim: one block a row.
import { dimAt, staticDim } from '../../../ir/op.ts'
import { scaleMaskSoftmax, softmax } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { plus, times } from '../../extent.ts'
import { defineKernel, type Site } from '../../kernel.ts'
import { blockSpace } from '../block-space.ts'
import { bytesOf, elementType, rowAlignment, sizeOf, typeAt } from '../layout.ts'

/** Rows of a length that is not known start anywhere. */
function fixed(site: Site, target: Target) {
  const L = dimAt(typeAt(site, 'x'), -1)
  return {
    P_ALIGN: rowAlignment(target, typeof L === 'number' ? L : 1),
    P_X: elementType(typeAt(site, 'x').dtype),
    P_Y: elementType(typeAt(site, 'y').dtype),
  }
}

const cost = ({ types }: Site) => ({
  bytes: plus(bytesOf(types.x!), bytesOf(types.y!)),
  flops: times(10, ...types.x!.shape),
})
/** Two sums' worth: the total, and the rounding of the exponent. */
const tolerance = (site: Site) => {
  const L = dimAt(typeAt(site, 'x'), -1)
  return 2 * Math.sqrt(typeof L === 'number' ? L : 1024) + 4
}
const rows = (site: Site) => sizeOf(typeAt(site, 'x').shape.slice(0, -1))

export const softmaxKernel = defineKernel({
  implements: softmax,
  template: 'softmax/softmax.hip',
  args: ['y', 'x', 'rows', 'L'],
  fixed,
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) }),
  scalars: (site) => ({ rows: rows(site), L: dimAt(typeAt(site, 'x'), -1) }),
  launch: ({ P_BLOCK }, site) => ({ grid: rows(site), block: P_BLOCK! }),
  cost,
  tolerance,
})

export const scaleMaskSoftmaxKernel = defineKernel({
  implements: scaleMaskSoftmax,
  template: 'softmax/scale_mask_softmax.hip',
  args: ['y', 'x', 'positions', 'T', 'L'],
  fixed: (site, target) => ({
    ...fixed(site, target),
    P_HEADS: staticDim(typeAt(site, 'x'), 1),
    P_BY: site.attrs.by as number,
    P_WINDOW: (site.attrs.window as number | undefined) ?? 0,
  }),
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) }),
  scalars: ({ types }) => ({ T: types.x!.shape[0]!, L: types.x!.shape[2]! }),
  launch: ({ P_BLOCK }, site) => ({ grid: rows(site), block: P_BLOCK! }),
  cost,
  tolerance,
})
