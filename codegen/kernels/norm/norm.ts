// Norms over the last dim: one block a row.
import { staticDim } from '../../../ir/op.ts'
import { addRmsNorm, layerNorm, rmsNorm } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { plus, times } from '../../extent.ts'
import { defineKernel, type Params, type Site } from '../../kernel.ts'
import { blockSpace } from '../block-space.ts'
import {
  bytesOf,
  elementType,
  isWhole,
  placeDefines,
  rowAlignment,
  rowsOf,
  servesRows,
  sizeOf,
  typeAt,
} from '../layout.ts'

/** Rows are everything but the last dim. */
const rows = (site: Site, name: string) => sizeOf(typeAt(site, name).shape.slice(0, -1))

const servesX = (site: Site) => servesRows(site, ['x'])

/** A view may have gaps between the indices of dim 0; the rows of one index (the heads of a token) lie side by side. */
const fixedOfX = (site: Site, target: Target) => {
  const hidden = staticDim(typeAt(site, 'x'), -1)
  const dense = isWhole(site, 'x')
  const place = dense ? { stride: hidden, offset: 0 } : rowsOf(site, 'x')
  const group = dense ? 1 : sizeOf(typeAt(site, 'x').shape.slice(1, -1))
  return {
    P_HIDDEN: hidden,
    P_ALIGN: rowAlignment(target, hidden, place.stride, place.offset),
    P_X: elementType(typeAt(site, 'x').dtype),
    P_Y: elementType(typeAt(site, 'y').dtype),
    P_W: elementType(typeAt(site, 'w').dtype),
    ...placeDefines('x', place),
    P_X_GROUP: group as number,
  }
}

/** About one chunk of 8 elements a thread. */
const space = (target: Target, hidden: number) => ({
  P_BLOCK: blockSpace(target, hidden <= 1024 ? [128, 64, 256] : hidden <= 4096 ? [256, 512, 128] : [512, 1024, 256]),
})

const oneBlockARow = (name: string) => ({
  scalars: (site: Site) => ({ T: rows(site, name) }),
  launch: ({ P_BLOCK }: Params, site: Site) => ({ grid: rows(site, name), block: P_BLOCK! }),
})

/** A sum of D squares, then two products. */
const tolerance = (name: string) => (site: Site) => 2 * Math.sqrt(staticDim(typeAt(site, name), -1))

export const rmsNormKernel = defineKernel({
  implements: rmsNorm,
  template: 'norm/rms_norm.hip',
  args: ['y', 'x', 'w', 'T'],
  strided: ['x'],
  serves: servesX,
  fixed: (site, target) => ({ ...fixedOfX(site, target), P_EPS: site.attrs.eps as number }),
  space: (target, site) => space(target, staticDim(typeAt(site, 'x'), -1)),
  ...oneBlockARow('x'),
  cost: ({ types }) => ({ bytes: plus(bytesOf(types.x!), bytesOf(types.y!)), flops: times(4, ...types.x!.shape) }),
  tolerance: tolerance('x'),
})

export const layerNormKernel = defineKernel({
  implements: layerNorm,
  template: 'norm/layer_norm.hip',
  args: ['y', 'x', 'w', 'bias', 'T'],
  strided: ['x'],
  serves: servesX,
  fixed: (site, target) => ({
    ...fixedOfX(site, target),
    P_EPS: site.attrs.eps as number,
    P_BIAS: site.types.bias ? 1 : 0,
    P_BIAS_ELEM: elementType(site.types.bias?.dtype ?? 'f32'),
  }),
  space: (target, site) => space(target, staticDim(typeAt(site, 'x'), -1)),
  ...oneBlockARow('x'),
  cost: ({ types }) => ({ bytes: plus(bytesOf(types.x!), bytesOf(types.y!)), flops: times(7, ...types.x!.shape) }),
  tolerance: tolerance('x'),
})

export const addRmsNormKernel = defineKernel({
  implements: addRmsNorm,
  template: 'norm/add_rms_norm.hip',
  args: ['sum', 'y', 'a', 'b', 'w', 'T'],
  serves: ({ types }) =>
    types.b!.shape.length === types.a!.shape.length || 'b must have as many dims as a: it is read row by row',
  fixed: (site, target) => {
    const hidden = staticDim(typeAt(site, 'a'), -1)
    return {
      P_HIDDEN: hidden,
      P_ALIGN: rowAlignment(target, hidden),
      P_A: elementType(typeAt(site, 'a').dtype),
      P_B: elementType(typeAt(site, 'b').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
      P_W: elementType(typeAt(site, 'w').dtype),
      P_EPS: site.attrs.eps as number,
    }
  },
  space: (target, site) => space(target, staticDim(typeAt(site, 'a'), -1)),
  ...oneBlockARow('a'),
  cost: ({ types }) => ({
    bytes: plus(plus(bytesOf(types.a!), bytesOf(types.b!)), plus(bytesOf(types.sum!), bytesOf(types.y!))),
    flops: times(5, ...types.a!.shape),
  }),
  tolerance: tolerance('a'),
})
