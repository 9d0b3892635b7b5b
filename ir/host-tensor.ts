// Tensors in host memory as references see them: floats of every width are held as f32 (or f64 when a pass is compared
// exactly), quantised weights as their decoded values; the dtype only remembers what they were.
import { fail, invariant } from './diagnostic.ts'
import { type Bindings, type Dtype, isCache, isFloat, isQuant, product } from './type.ts'

export type HostData = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array

export interface HostTensor {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly data: HostData
}

/** What a reference may use besides its operands. */
export interface ReferenceContext {
  readonly bindings: Bindings
  /** zeroed storage for float values: f32, or f64 in exact runs */
  floats(n: number): Float32Array | Float64Array
}

export const size = (tensor: HostTensor): number => product(tensor.shape)

/** Storage for `dtype` as references hold it. */
export function storage(dtype: Dtype, n: number, f64 = false): HostData {
  if (isCache(dtype) || isQuant(dtype)) return f64 ? new Float64Array(n) : new Float32Array(n)
  const Storage = { i32: Int32Array, u32: Uint32Array, i8: Int8Array, u8: Uint8Array, bool: Uint8Array }[dtype]
  return new Storage(n)
}

/** A host tensor from numbers; the length must match the shape. */
export function hostTensor(dtype: Dtype, shape: readonly number[], values: ArrayLike<number>): HostTensor {
  invariant(values.length === product(shape), `${values.length} values do not fill [${shape.join(', ')}]`)
  const data = storage(dtype, values.length)
  data.set(values)
  return { dtype, shape, data }
}

/** An index that came with the inputs of a run: a kernel would read beyond a buffer, a reference says so. */
export function indexBelow(name: string, index: number, limit: number): number {
  if (index >= 0 && index < limit) return index
  return fail({ code: 'op-index', message: `${name} ${index} is outside 0…${limit - 1}` })
}

/** Applies `f` to each row (last dim) of x: it reads a row and writes one of `width` values. */
export function mapRows(
  x: HostTensor,
  context: ReferenceContext,
  f: (row: HostData, out: Float32Array | Float64Array, index: number) => void,
  width = x.shape.at(-1) ?? 1,
): HostTensor {
  const columns = x.shape.at(-1) ?? 1
  const rows = columns === 0 ? 0 : size(x) / columns
  const data = context.floats(rows * width)
  for (let r = 0; r < rows; r++) {
    f(x.data.subarray(r * columns, (r + 1) * columns), data.subarray(r * width, (r + 1) * width), r)
  }
  return { dtype: x.dtype, shape: [...x.shape.slice(0, -1), width], data }
}

/** Applies `f` to each element. */
export function mapElements(x: HostTensor, context: ReferenceContext, f: (v: number, i: number) => number): HostTensor {
  const data = isFloat(x.dtype) ? context.floats(x.data.length) : storage(x.dtype, x.data.length)
  for (let i = 0; i < data.length; i++) data[i] = f(x.data[i]!, i)
  return { dtype: x.dtype, shape: x.shape, data }
}
