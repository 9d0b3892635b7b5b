// Types of values: a dtype and a row-major shape whose dims are numbers or named symbols.
import { invariant } from './diagnostic.ts'
import { type QuantType, quantFormats } from './quant.ts'
import { shown } from './shown.ts'

/** Element types with one scalar per element. */
export const scalarTypes = ['f32', 'f16', 'bf16', 'f8_e4m3', 'i32', 'u32', 'i8', 'u8', 'bool'] as const
export type ScalarType = (typeof scalarTypes)[number]
export type FloatType = 'f32' | 'f16' | 'bf16'
/** What a KV cache may keep floats as: `f8_e4m3` is OCP's 8-bit float, for caches alone; `q8_0` has blocks along C. */
export type CacheType = FloatType | 'f8_e4m3' | 'q8_0'
/** Every element type: scalars, and block-quantised weights (whose last dim is a whole number of blocks). */
export type Dtype = ScalarType | QuantType

/**
 * A dim is a number, or a symbol that gets its value when the graph runs:
 * `T` tokens in this step, `R` requests in this step, `L` context length of this step (tokens, the longest request),
 * `P` pages in a cache and `M` pages per request (these two are bound once, when the model is loaded).
 * A graph of one's own may name others, such as `B` rows of a batch: a word that begins with a capital letter.
 */
export type Dim = number | DimSymbol
/** the symbols that ops of language models give a meaning */
export const stepSymbols = ['T', 'R', 'L', 'P', 'M'] as const
export type DimSymbol = (typeof stepSymbols)[number] | (string & {})
/** symbol → its value */
export type Bindings = { [name in (typeof stepSymbols)[number]]?: number } & { [name: string]: number | undefined }

/** What the name of a symbol looks like. */
export const symbolPattern = /^[A-Z]\w{0,31}$/
export const isSymbol = (dim: unknown): dim is DimSymbol => typeof dim === 'string' && symbolPattern.test(dim)

/**
 * The type of a value. `state` marks memory that outlives a step (the KV cache): an op that updates it takes the old
 * version and returns the new one.
 */
export interface TensorType {
  readonly dtype: Dtype
  readonly shape: readonly Dim[]
  readonly state?: true
}

const scalarBytes: Record<ScalarType, number> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  f8_e4m3: 1,
  i32: 4,
  u32: 4,
  i8: 1,
  u8: 1,
  bool: 1,
}

export const tensor = (dtype: Dtype, shape: readonly Dim[]): TensorType => ({ dtype, shape })
export const state = (dtype: Dtype, shape: readonly Dim[]): TensorType => ({ dtype, shape, state: true })

export const isFloat = (dtype: Dtype): dtype is FloatType => dtype === 'f32' || dtype === 'f16' || dtype === 'bf16'
export const isCache = (dtype: Dtype): dtype is CacheType => isFloat(dtype) || dtype === 'f8_e4m3' || dtype === 'q8_0'
export const isQuant = (dtype: Dtype): dtype is QuantType => Object.hasOwn(quantFormats, dtype)
export const isScalar = (dtype: Dtype): dtype is ScalarType => Object.hasOwn(scalarBytes, dtype)
export const isDtype = (name: string): name is Dtype =>
  Object.hasOwn(scalarBytes, name) || Object.hasOwn(quantFormats, name)

/** Bytes of `elements` consecutive elements of a row; a quantised row must be a whole number of blocks. */
export function rowBytes(dtype: Dtype, elements: number): number {
  if (!isQuant(dtype)) return scalarBytes[dtype] * elements
  const { block, bytes } = quantFormats[dtype]
  invariant(elements % block === 0, `a row of ${elements} elements is not a whole number of ${dtype} blocks`)
  return (elements / block) * bytes
}

/** The value of a dim under bindings; an unbound symbol is our bug. */
export function bindDim(dim: Dim, bindings: Bindings): number {
  if (typeof dim === 'number') return dim
  const bound = bindings[dim]
  invariant(bound !== undefined, `dim ${dim} is not bound`)
  return bound
}

export const bindShape = (shape: readonly Dim[], bindings: Bindings): number[] =>
  shape.map((dim) => bindDim(dim, bindings))
export const product = (dims: readonly number[]): number => dims.reduce((a, b) => a * b, 1)
export const elementCount = (type: TensorType, bindings: Bindings = {}): number =>
  product(bindShape(type.shape, bindings))

/** Bytes of a whole tensor. */
export function byteSize(type: TensorType, bindings: Bindings = {}): number {
  const dims = bindShape(type.shape, bindings)
  const last = dims.at(-1) ?? 1
  return product(dims.slice(0, -1)) * rowBytes(type.dtype, last)
}

export const sameDims = (a: readonly Dim[], b: readonly Dim[]): boolean =>
  a.length === b.length && a.every((dim, i) => dim === b[i])
export const sameType = (a: TensorType, b: TensorType): boolean =>
  a.dtype === b.dtype && !!a.state === !!b.state && sameDims(a.shape, b.shape)

/** What no value can be: an unknown dtype, a dim that is no count, a row that is no whole number of blocks. */
export function typeFault(type: TensorType): string | undefined {
  if (typeof type !== 'object' || type === null) return `a type is tensor(dtype, shape), not ${shown(type)}`
  const { dtype, shape } = type
  if (typeof dtype !== 'string' || !isDtype(dtype))
    return `unknown dtype ${typeof dtype === 'string' ? dtype : shown(dtype)}`
  if (!Array.isArray(shape)) return `a shape is an array of dims, not ${shown(shape)}`
  for (const dim of shape) {
    const counts = typeof dim === 'number' ? Number.isSafeInteger(dim) && dim >= 0 : isSymbol(dim)
    if (!counts)
      return `a dim must be a whole number or a symbol that begins with a capital letter (T, B), is ${typeof dim === 'object' ? shown(dim) : String(dim)}`
  }
  if (!isQuant(dtype)) return undefined
  const { block } = quantFormats[dtype]
  const row = shape.at(-1)
  const whole = typeof row === 'number' && row % block === 0
  return whole ? undefined : `rows of ${dtype} must be a multiple of ${block}, are ${row ?? 'none'}`
}

/** `bf16[T, 2048]`; a state prints as `state f16[P, 8, 16, 128]`. */
export const printType = (type: TensorType): string =>
  `${type.state ? 'state ' : ''}${type.dtype}[${type.shape.join(', ')}]`
