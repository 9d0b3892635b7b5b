// Kernels that read rows of an embedding table, quantised or not.
import { staticDim } from '../../../ir/op.ts'
import { embed, embedAppend } from '../../../ir/ops/index.ts'
import { quantFormats } from '../../../ir/quant.ts'
import type { Target } from '../../../ir/target.ts'
import { isFloat, isQuant, rowBytes } from '../../../ir/type.ts'
import { plus, times } from '../../extent.ts'
import { defineKernel, type KernelSpec, type Site, type Stage } from '../../kernel.ts'
import { weightStruct } from '../../weight-source.ts'
import { blockSpace } from '../block-space.ts'
import { alignmentOf, bytesOf, elementType, typeAt } from '../layout.ts'

const embedFixed = (site: Site, target: Target) => {
  const hidden = staticDim(typeAt(site, 'table'), 1)
  return {
    P_ROWS: staticDim(typeAt(site, 'table'), 0),
    P_HIDDEN: hidden,
    P_ALIGN: alignmentOf(hidden),
    P_Y: elementType(typeAt(site, 'y').dtype),
    P_WEIGHT: weightStruct(typeAt(site, 'table'), hidden, target),
  }
}

/** A block a token. */
const embedding: Pick<KernelSpec, 'serves' | 'space' | 'cost' | 'tolerance'> & Pick<Stage, 'launch'> = {
  serves: (site) => {
    const [table, D] = [typeAt(site, 'table'), staticDim(typeAt(site, 'table'), 1)]
    if (isFloat(table.dtype)) return true
    if (!isQuant(table.dtype)) return `table must be a float or quantised type, is ${table.dtype}`
    const { block } = quantFormats[table.dtype]
    return D % block === 0 || `rows of ${table.dtype} must be a multiple of ${block}, are ${D}`
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: types.ids!.shape[0]!, block: P_BLOCK! }),
  cost: ({ types }) => ({
    bytes: plus(
      times(types.ids!.shape[0]!, rowBytes(types.table!.dtype, staticDim(types.table!, 1))),
      bytesOf(types.y!),
    ),
    flops: 0,
  }),
  tolerance: () => 1,
}

export const embedKernel = defineKernel({
  implements: embed,
  template: 'embed/embed.hip',
  args: ['y', 'ids', 'table', 'T'],
  fixed: embedFixed,
  scalars: ({ types }) => ({ T: types.ids!.shape[0]! }),
  ...embedding,
})

export const embedAppendKernel = defineKernel({
  implements: embedAppend,
  template: 'embed/embed_append.hip',
  args: ['y', 'history', 'ids', 'table', 'positions', 'seq', 'page_table', 'T', 'M'],
  fixed: (site, target) => ({
    ...embedFixed(site, target),
    P_KV_HEADS: 1,
    P_PAGE: staticDim(typeAt(site, 'history'), 2),
    P_HEAD_DIM: 1,
    P_KV: elementType(typeAt(site, 'history').dtype),
  }),
  scalars: ({ types }) => ({ T: types.ids!.shape[0]!, M: types.page_table!.shape[1]! }),
  ...embedding,
})
