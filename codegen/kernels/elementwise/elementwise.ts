// Elementwise kernels: one template for functions of one operand, one for two, and SwiGLU, masks and counters.
import { staticDim } from '../../../ir/op.ts'
import {
  add,
  causalMask,
  gelu,
  increment,
  mul,
  scale,
  sigmoid,
  silu,
  softcap,
  swiglu,
  tanh,
} from '../../../ir/ops/index.ts'
import type { Target } from '../../../ir/target.ts'
import { ceilDiv, type Extent, plus, times } from '../../extent.ts'
import { type Defines, defineKernel, type KernelSpec, type Params, type Site } from '../../kernel.ts'
import { blockSpace, isFastHost } from '../block-space.ts'
import {
  bytesOf,
  elementType,
  isWhole,
  placeDefines,
  type RowForm,
  rowAlignment,
  rowForm,
  rowsOf,
  servesRows,
  sizeOf,
  typeAt,
} from '../layout.ts'

/** Elements of a block: a chunk of 8 a thread on GPUs; on the host what is worth handing to a thread. */
const space = (target: Target) => ({
  P_BLOCK: blockSpace(target, [256, 128, 512]),
  P_TILE: isFastHost(target) ? [8192] : [2048, 1024, 4096],
})

const grid = (rows: Extent, cols: Extent, params: Params) => ({
  grid: times(rows, ceilDiv(cols, params.P_TILE!)),
  block: params.P_BLOCK!,
})

/** Operands read once, the result written once; `flops` a result element. */
const cost =
  (flops: number, ...operands: string[]) =>
  (site: Site) => ({
    bytes: operands.reduce<Extent>((sum, name) => plus(sum, bytesOf(typeAt(site, name))), bytesOf(site.types.y!)),
    flops: times(flops, ...site.types.y!.shape),
  })

// ---- one operand ---------------------------------------------------------------------------------------------------

function unary(
  op: KernelSpec['implements'],
  implement: Parameters<typeof defineKernel>[0]['implements'],
  flops: number,
  defines: (site: Site) => Defines,
): KernelSpec {
  return defineKernel({
    name: op,
    implements: implement,
    template: 'elementwise/unary.hip',
    entry: 'unary',
    args: ['y', 'x', 'rows', 'cols'],
    strided: ['x'],
    serves: (site) => servesRows(site, ['x']),
    fixed: (site, target) => {
      const form = rowForm(site, target, ['x'])
      return {
        P_X: elementType(typeAt(site, 'x').dtype),
        P_Y: elementType(typeAt(site, 'y').dtype),
        P_ALIGN: form.align,
        ...placeDefines('x', form.places.x!),
        ...defines(site),
      }
    },
    space,
    scalars: (site) => extents(rowForm(site, anyTarget, ['x'])),
    launch: (params, site) => {
      const { rows, cols } = rowForm(site, anyTarget, ['x'])
      return grid(rows, cols, params)
    },
    cost: cost(flops, 'x'),
    tolerance: () => 4,
  })
}

const extents = ({ rows, cols }: RowForm) => ({ rows, cols })
/** Rows and columns are the same for every target: only alignment differs. */
const anyTarget = { platform: 'host' } as Target

export const unaryKernels: readonly KernelSpec[] = [
  unary('scale', scale, 1, ({ attrs }) => ({ P_OP: 'Scale', P_BY: attrs.by as number })),
  unary('silu', silu, 20, () => ({ P_OP: 'Silu' })),
  unary('sigmoid', sigmoid, 20, () => ({ P_OP: 'Sigmoid' })),
  unary('tanh', tanh, 30, () => ({ P_OP: 'Tanh' })),
  unary('softcap', softcap, 30, ({ attrs }) => ({ P_OP: 'Softcap', P_BY: attrs.cap as number })),
  unary('gelu', gelu, 40, ({ attrs }) => ({ P_OP: attrs.approximate === 'tanh' ? 'GeluTanh' : 'Gelu' })),
]

export const incrementKernel = defineKernel({
  implements: increment,
  template: 'elementwise/increment.hip',
  args: ['y', 'x', 'n'],
  fixed: ({ attrs }) => ({ P_BY: attrs.by as number }),
  space: (target) => ({ P_BLOCK: blockSpace(target, [64, 128]), P_TILE: [1024] }),
  scalars: ({ types }) => ({ n: sizeOf(types.x!.shape) }),
  launch: (params, { types }) => grid(1, sizeOf(types.x!.shape), params),
  cost: cost(1, 'x'),
  tolerance: () => 0,
})

// ---- two operands --------------------------------------------------------------------------------------------------

/** Rows and columns of a + b: b's elements are the columns where it is repeated. */
function binaryForm(site: Site, target: Target): RowForm {
  const [a, b] = [typeAt(site, 'a'), typeAt(site, 'b')]
  const repeated = b.shape.length < a.shape.length
  if (!repeated) return rowForm(site, target, ['a', 'b'])
  const leading = a.shape.length - b.shape.length
  const cols = sizeOf(b.shape)
  const place = isWhole(site, 'a') ? { stride: -1, offset: 0 } : rowsOf(site, 'a')
  const numbers = place.stride < 0 ? [] : [place.stride, place.offset]
  return {
    rows: sizeOf(a.shape.slice(0, leading)),
    cols,
    align: typeof cols === 'number' ? rowAlignment(target, cols, ...numbers) : rowAlignment(target, 1),
    places: { a: place, b: { stride: 0, offset: 0 } },
  }
}

function servesBinary(site: Site): true | string {
  const repeated = typeAt(site, 'b').shape.length < typeAt(site, 'a').shape.length
  if (!repeated) return servesRows(site, ['a', 'b'])
  if (!isWhole(site, 'b')) return 'b is repeated and a view'
  // a row of the view must be a row of the work
  if (!isWhole(site, 'a') && typeAt(site, 'b').shape.length !== typeAt(site, 'a').shape.length - 1)
    return 'a is a view and b is repeated over more than its first dim'
  return servesRows(site, ['a'])
}

function binary(op: string, implement: Parameters<typeof defineKernel>[0]['implements'], P_OP: string): KernelSpec {
  return defineKernel({
    name: op,
    implements: implement,
    template: 'elementwise/binary.hip',
    entry: 'binary',
    args: ['y', 'a', 'b', 'rows', 'cols'],
    strided: ['a', 'b'],
    serves: servesBinary,
    fixed: (site, target) => {
      const form = binaryForm(site, target)
      return {
        P_OP,
        P_A: elementType(typeAt(site, 'a').dtype),
        P_B: elementType(typeAt(site, 'b').dtype),
        P_Y: elementType(typeAt(site, 'y').dtype),
        P_ALIGN: form.align,
        ...placeDefines('a', form.places.a!),
        ...placeDefines('b', form.places.b!),
      }
    },
    space,
    scalars: (site) => extents(binaryForm(site, anyTarget)),
    launch: (params, site) => {
      const { rows, cols } = binaryForm(site, anyTarget)
      return grid(rows, cols, params)
    },
    cost: cost(1, 'a', 'b'),
    tolerance: () => 4,
  })
}

export const binaryKernels: readonly KernelSpec[] = [binary('add', add, 'Plus'), binary('mul', mul, 'Times')]

export const swigluKernel = defineKernel({
  implements: swiglu,
  template: 'elementwise/swiglu.hip',
  args: ['y', 'gate', 'up', 'rows', 'cols'],
  strided: ['gate', 'up'],
  serves: (site) =>
    typeAt(site, 'up').shape.length === typeAt(site, 'gate').shape.length
      ? servesRows(site, ['gate', 'up'])
      : 'up must have as many dims as gate',
  fixed: (site, target) => {
    const form = rowForm(site, target, ['gate', 'up'])
    return {
      P_GATE: elementType(typeAt(site, 'gate').dtype),
      P_UP: elementType(typeAt(site, 'up').dtype),
      P_Y: elementType(typeAt(site, 'y').dtype),
      P_ALIGN: form.align,
      ...placeDefines('gate', form.places.gate!),
      ...placeDefines('up', form.places.up!),
    }
  },
  space,
  scalars: (site) => extents(rowForm(site, anyTarget, ['gate', 'up'])),
  launch: (params, site) => {
    const { rows, cols } = rowForm(site, anyTarget, ['gate', 'up'])
    return grid(rows, cols, params)
  },
  cost: cost(21, 'gate', 'up'),
  tolerance: () => 4,
})

// ---- masks ---------------------------------------------------------------------------------------------------------

export const causalMaskKernel = defineKernel({
  implements: causalMask,
  template: 'elementwise/causal_mask.hip',
  args: ['y', 'x', 'positions', 'T', 'L'],
  fixed: (site) => ({
    P_HEADS: staticDim(typeAt(site, 'x'), 1),
    P_WINDOW: (site.attrs.window as number | undefined) ?? 0,
    P_X: elementType(typeAt(site, 'x').dtype),
    P_Y: elementType(typeAt(site, 'y').dtype),
  }),
  space,
  scalars: ({ types }) => ({ T: types.x!.shape[0]!, L: types.x!.shape[2]! }),
  launch: (params, { types }) => grid(sizeOf(types.x!.shape.slice(0, 2)), types.x!.shape[2]!, params),
  cost: cost(1, 'x'),
  tolerance: () => 0,
})
