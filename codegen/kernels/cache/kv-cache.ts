// The paged cache: append, and read back in order (where attention is not fused).
import { staticDim } from '../../../ir/op.ts'
import { kvAppend, kvRead } from '../../../ir/ops/index.ts'
import { times } from '../../extent.ts'
import { defineKernel } from '../../kernel.ts'
import { blockSpace } from '../block-space.ts'
import {
  alignmentOf,
  bytesOf,
  cacheElement,
  elementType,
  placeDefines,
  rowsOf,
  servesRows,
  sizeOf,
  typeAt,
} from '../layout.ts'

export const kvAppendKernel = defineKernel({
  implements: kvAppend,
  template: 'cache/kv_append.hip',
  args: ['cache', 'x', 'positions', 'seq', 'page_table', 'T', 'M'],
  strided: ['x'],
  serves: (site) => {
    const { stride, offset } = rowsOf(site, 'x')
    if (typeAt(site, 'cache').dtype === 'q8_0' && alignmentOf(stride, offset) < 8)
      return 'blocks of 32 are read from rows that start at multiples of 8 elements'
    return servesRows(site, ['x'])
  },
  fixed: (site) => {
    const [cache, place] = [typeAt(site, 'cache'), rowsOf(site, 'x')]
    return {
      P_KV_HEADS: staticDim(cache, 1),
      P_PAGE: staticDim(cache, 2),
      P_HEAD_DIM: staticDim(cache, 3),
      P_ALIGN: alignmentOf(staticDim(cache, 3), place.stride, place.offset),
      P_KV: cacheElement(cache.dtype),
      P_X: elementType(typeAt(site, 'x').dtype),
      ...placeDefines('x', place),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 64, 256]) }),
  scalars: ({ types }) => ({ T: types.x!.shape[0]!, M: types.page_table!.shape[1]! }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: types.x!.shape[0]!, block: P_BLOCK! }),
  cost: ({ types }) => ({ bytes: times(2, bytesOf(types.x!)), flops: 0 }),
  tolerance: () => 1,
})

export const kvReadKernel = defineKernel({
  implements: kvRead,
  template: 'cache/kv_read.hip',
  args: ['y', 'cache', 'page_table', 'R', 'L', 'M'],
  fixed: (site) => {
    const cache = typeAt(site, 'cache')
    return {
      P_KV_HEADS: staticDim(cache, 1),
      P_PAGE: staticDim(cache, 2),
      P_HEAD_DIM: staticDim(cache, 3),
      P_ALIGN: alignmentOf(staticDim(cache, 3)),
      P_KV: cacheElement(cache.dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
    }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [128, 64, 256]) }),
  scalars: ({ types }) => ({ R: types.y!.shape[0]!, L: types.y!.shape[1]!, M: types.page_table!.shape[1]! }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: sizeOf(types.y!.shape.slice(0, 2)), block: P_BLOCK! }),
  cost: ({ types }) => ({ bytes: times(2, bytesOf(types.y!)), flops: 0 }),
  tolerance: () => 1,
})
