// Extent: a number that may depend on the symbols of a step (T, R, L …): grid sizes, scratch bytes, buffer sizes.
// Plain data, so that programs print and serialise.
import { type Bindings, bindDim, type Dim } from '../ir/type.ts'

export type Extent = Dim | { readonly op: 'mul' | 'add' | 'ceilDiv' | 'min'; readonly a: Extent; readonly b: Extent }

const folded = (op: 'mul' | 'add' | 'ceilDiv' | 'min', a: Extent, b: Extent): Extent =>
  typeof a === 'number' && typeof b === 'number' ? apply(op, a, b) : { op, a, b }

export const times = (...factors: Extent[]): Extent =>
  factors.reduce((a, b) => (b === 1 ? a : a === 1 ? b : folded('mul', a, b)), 1)
export const plus = (a: Extent, b: Extent): Extent => folded('add', a, b)
export const ceilDiv = (a: Extent, b: Extent): Extent => (b === 1 ? a : folded('ceilDiv', a, b))
export const least = (a: Extent, b: Extent): Extent => folded('min', a, b)

function apply(op: string, a: number, b: number): number {
  if (op === 'mul') return a * b
  if (op === 'add') return a + b
  if (op === 'min') return Math.min(a, b)
  return Math.ceil(a / b)
}

export function evaluate(extent: Extent, bindings: Bindings): number {
  if (typeof extent !== 'object') return bindDim(extent, bindings)
  return apply(extent.op, evaluate(extent.a, bindings), evaluate(extent.b, bindings))
}

/** The symbols an extent depends on. */
export function symbolsOf(extent: Extent): Dim[] {
  if (typeof extent === 'number') return []
  if (typeof extent === 'string') return [extent]
  return [...symbolsOf(extent.a), ...symbolsOf(extent.b)]
}

export function printExtent(extent: Extent): string {
  if (typeof extent !== 'object') return String(extent)
  const [a, b] = [printExtent(extent.a), printExtent(extent.b)]
  if (extent.op === 'ceilDiv') return `⌈${a}/${b}⌉`
  if (extent.op === 'min') return `min(${a}, ${b})`
  return extent.op === 'mul' ? `${a}·${b}` : `(${a} + ${b})`
}
