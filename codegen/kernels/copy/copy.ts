// Kernels that move elements: rows by index, views into memory of their own.
import { staticDim } from '../../../ir/op.ts'
import { contiguous, gatherRows } from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { type Dim, isFloat, isQuant, rowBytes } from '../../../ir/type.ts'
import { ceilDiv, plus, times } from '../../extent.ts'
import { defineKernel, type Site } from '../../kernel.ts'
import type { View } from '../../view.ts'
import { wholeView } from '../../view.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import { alignmentOf, bytesOf, elementType, rowAlignment, rowsOf, servesRows, sizeOf, typeAt } from '../layout.ts'

// ---- gather_rows ---------------------------------------------------------------------------------------------------

/** Bytes of a row and where rows lie; the widest unit that divides all of it. */
function gathered(site: Site) {
  const x = typeAt(site, 'x')
  const place = rowsOf(site, 'x')
  const element = rowBytes(x.dtype, 1)
  const bytes = x.shape.slice(1).reduce<number>((n, _, i) => n * staticDim(x, i + 1), element)
  const unit = Math.min(16, alignmentOf(bytes, place.stride * element, place.offset * element))
  return { bytes, unit, stride: (place.stride * element) / unit, offset: (place.offset * element) / unit }
}

export const gatherRowsKernel = defineKernel({
  implements: gatherRows,
  template: 'copy/gather_rows.hip',
  args: ['y', 'x', 'rows', 'R'],
  strided: ['x'],
  serves: (site) => {
    if (
      typeAt(site, 'x')
        .shape.slice(1)
        .some((dim) => typeof dim !== 'number')
    )
      return 'rows must have a known length'
    return servesRows(site, ['x'])
  },
  fixed: (site) => {
    const { bytes, unit, stride, offset } = gathered(site)
    return { P_UNIT_BYTES: unit, P_UNITS: bytes / unit, P_X_STRIDE: stride, P_X_OFFSET: offset }
  },
  space: (target) => ({ P_BLOCK: blockSpace(target, [256, 128, 512]) }),
  scalars: ({ types }) => ({ R: types.rows!.shape[0]! }),
  launch: ({ P_BLOCK }, { types }) => ({ grid: types.rows!.shape[0]!, block: P_BLOCK! }),
  cost: ({ types }) => ({ bytes: times(2, bytesOf(types.y!)), flops: 0 }),
  tolerance: () => 0,
})

// ---- contiguous ----------------------------------------------------------------------------------------------------

const most = 4

/** The view as four dims: leading ones are 1. */
function fourDims(site: Site): { dims: readonly Dim[]; view: View; strides: readonly (number | null)[] } {
  const shape = typeAt(site, 'x').shape
  const view = site.views.x ?? wholeView('', shape)
  const missing = Math.max(0, most - shape.length)
  const ones = Array.from({ length: missing }, () => 1)
  return { dims: [...ones, ...shape], view, strides: [...ones.map(() => 0), ...view.strides] }
}

/** Chunks of the last dim: elements must follow each other there, and rows of x and y start at multiples. */
function chunkAlignment(site: Site, target: Target): number {
  const { dims, view, strides } = fourDims(site)
  if (strides[3] !== 1) return 1
  const rows = [dims[3]!, view.offset, ...strides.slice(0, 3).map((stride) => stride ?? dims[3]!)]
  const numbers = rows.map((n) => (typeof n === 'number' ? n : 1))
  return target.platform === 'host' ? 16 : Math.min(8, rowAlignment(target, ...numbers))
}

export const contiguousKernel = defineKernel({
  implements: contiguous,
  template: 'copy/contiguous.hip',
  args: ['y', 'x', 'rows', 'D1', 'D2', 'D3'],
  strided: ['x'],
  serves: (site) => {
    const { dims, strides } = fourDims(site)
    const [from, to] = [typeAt(site, 'x').dtype, typeAt(site, 'y').dtype]
    if (dims.length > most) return `x has ${dims.length} dims, at most ${most} are taken`
    if (strides.length !== most) return 'x has no layout'
    if (isQuant(from)) return `x is quantised (${from})`
    return from === to || (isFloat(from) && isFloat(to)) || `${from} does not become ${to}`
  },
  fixed: (site, target) => {
    const { view, strides } = fourDims(site)
    const stride = (i: number) => strides[i] ?? -1
    return {
      P_S0: stride(0),
      P_S1: stride(1),
      P_S2: stride(2),
      P_S3: stride(3),
      P_X_OFFSET: view.offset,
      P_GROUP: view.groups,
      P_ALIGN: chunkAlignment(site, target),
      P_X: elementType(typeAt(site, 'x').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
    }
  },
  space: (target) => ({
    P_BLOCK: blockSpace(target, [256, 128]),
    P_TILE: isFastHost(target) ? [8192] : [2048, 4096],
  }),
  scalars: (site) => {
    const { dims } = fourDims(site)
    return { rows: times(...dims.slice(0, 3)), D1: dims[1]!, D2: dims[2]!, D3: dims[3]! }
  },
  launch: (params, site) => ({
    grid: ceilDiv(sizeOf(typeAt(site, 'x').shape), params.P_TILE!),
    block: params.P_BLOCK!,
  }),
  cost: ({ types }) => ({ bytes: plus(bytesOf(types.x!), bytesOf(types.y!)), flops: 0 }),
  tolerance: ({ types }) => (types.x!.dtype === types.y!.dtype ? 0 : 1),
})
