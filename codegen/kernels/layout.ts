// How specs see operands: C++ names of element types, what divides every row start, and elementwise work as rows × columns.
import { invariant } from '../../ir/diagnostic.ts'
import type { Target } from '../../ir/target.ts'
import { type Dim, type Dtype, isFloat, isScalar, rowBytes, type TensorType } from '../../ir/type.ts'
import { type Extent, times } from '../extent.ts'
import type { Site } from '../kernel.ts'
import { isContiguous } from '../view.ts'

/** The type of an element in a template: `f16_t`, `i32`. */
export function elementType(dtype: Dtype): string {
  invariant(isScalar(dtype), `${dtype} has no element type`)
  if (isFloat(dtype)) return `${dtype}_t`
  return dtype === 'bool' ? 'u8' : dtype
}

/** The same of a cache: `f8_t`, `q8_0_t`. */
export function cacheElement(dtype: Dtype): string {
  if (dtype === 'q8_0') return 'q8_0_t'
  return dtype === 'f8_e4m3' ? 'f8_t' : elementType(dtype)
}

export const typeAt = (site: Site, name: string): TensorType => {
  const type = site.types[name]
  invariant(type, `${site.op} has no ${name}`)
  return type
}

/** Number of elements, as far as dims are known. */
export const sizeOf = (dims: readonly Dim[]): Extent => times(...dims)
export const bytesOf = (type: TensorType): Extent =>
  times(...type.shape, isScalar(type.dtype) ? rowBytes(type.dtype, 1) : 1)

/** No template handles more elements at a time. */
const widest = 32

/** The largest power of two, at most 32, that divides all of the numbers. */
export function alignmentOf(...numbers: readonly number[]): number {
  let power = widest
  while (power > 1 && numbers.some((n) => n % power !== 0)) power /= 2
  return power
}

/** P_ALIGN of rows that start at multiples of these numbers of elements; the host loads at any address. */
export const rowAlignment = (target: Target, ...numbers: readonly number[]): number =>
  target.platform === 'host' ? widest : alignmentOf(...numbers)

export const isWhole = (site: Site, name: string): boolean => {
  const view = site.views[name]
  return !view || (view.offset === 0 && isContiguous(view, typeAt(site, name).shape))
}

/** Elements from one row of dim 0 to the next, and from the start of the buffer to the first. */
export function rowsOf(site: Site, name: string): { stride: number; offset: number } {
  const [type, view] = [typeAt(site, name), site.views[name]]
  const inner = type.shape.slice(1).map((dim) => {
    invariant(typeof dim === 'number', `rows of ${name} must have a known length`)
    return dim
  })
  const dense = inner.reduce((a, b) => a * b, 1)
  return { stride: view?.strides[0] ?? dense, offset: view?.offset ?? 0 }
}

/** Elementwise work as rows of `cols` elements: one row where everything is dense, else one for each index of dim 0. */
export interface RowForm {
  readonly rows: Extent
  readonly cols: Extent
  readonly align: number
  /** elements from row to row and to the first, of each operand asked for; 0 where there is one row */
  readonly places: Readonly<Record<string, { readonly stride: number; readonly offset: number }>>
}

export function rowForm(site: Site, target: Target, operands: readonly string[]): RowForm {
  const shape = typeAt(site, operands[0]!).shape
  if (operands.every((name) => isWhole(site, name))) {
    const places = Object.fromEntries(operands.map((name) => [name, { stride: 0, offset: 0 }]))
    return { rows: 1, cols: sizeOf(shape), align: widest, places }
  }
  const places = Object.fromEntries(operands.map((name) => [name, rowsOf(site, name)]))
  const cols = sizeOf(shape.slice(1))
  invariant(typeof cols === 'number', 'rows with gaps have a known length')
  const numbers = Object.values(places).flatMap(({ stride, offset }) => [stride, offset])
  return { rows: shape[0]!, cols, align: rowAlignment(target, cols, ...numbers), places }
}

/** Why rows with gaps cannot be taken here, or `true`: their length must be known. */
export function servesRows(site: Site, operands: readonly string[]): true | string {
  for (const name of operands) {
    if (isWhole(site, name)) continue
    if (
      typeAt(site, name)
        .shape.slice(1)
        .some((dim) => typeof dim !== 'number')
    )
      return `${name} is a view whose rows have no known length`
  }
  return true
}

/** `P_X_STRIDE` and `P_X_OFFSET` for operand x. */
export function placeDefines(name: string, place: { readonly stride: number; readonly offset: number }) {
  return { [`P_${name.toUpperCase()}_STRIDE`]: place.stride, [`P_${name.toUpperCase()}_OFFSET`]: place.offset }
}
