// Between the bytes of a tensor in a file or on a device (little-endian, row-major) and its values on the host.

import { q8Block } from './cache-values.ts'
import { invariant } from './diagnostic.ts'
import { f8ToNumber, numberToF8 } from './f8.ts'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from './half.ts'
import type { HostData, HostTensor } from './host-tensor.ts'
import { quantFormats } from './quant.ts'
import { type Dtype, isQuant, product, rowBytes } from './type.ts'

const tables = new Map<'f16' | 'bf16', Float32Array>()

/** All 65536 values, so that decoding is a look-up. */
function tableOf(dtype: 'f16' | 'bf16'): Float32Array {
  const known = tables.get(dtype)
  if (known) return known
  const value = dtype === 'f16' ? f16ToNumber : bf16ToNumber
  const table = Float32Array.from({ length: 65536 }, (_, bits) => value(bits))
  tables.set(dtype, table)
  return table
}

/** The bytes at a multiple of `alignment`, as typed arrays want them. */
const alignedCopy = (bytes: Uint8Array, alignment: number): Uint8Array =>
  bytes.byteOffset % alignment ? new Uint8Array(bytes) : bytes // slice() of a Buffer would not copy

/** Values of a tensor: floats and quantised weights as f32. */
export function decodeTensor(dtype: Dtype, shape: readonly number[], bytes: Uint8Array): HostTensor {
  const n = product(shape)
  const expected = n === 0 ? 0 : (n / (shape.at(-1) ?? 1)) * rowBytes(dtype, shape.at(-1) ?? 1)
  invariant(bytes.length >= expected, `${bytes.length} bytes do not hold ${dtype}[${shape.join(', ')}]`)
  return { dtype, shape, data: decodeValues(dtype, n, bytes) }
}

function decodeValues(dtype: Dtype, n: number, bytes: Uint8Array): HostData {
  if (isQuant(dtype)) {
    const { block, bytes: size, decode } = quantFormats[dtype]
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const out = new Float32Array(n)
    for (let i = 0; i < n / block; i++) decode(view, i * size, out, i * block)
    return out
  }
  if (dtype === 'f16' || dtype === 'bf16') {
    const table = tableOf(dtype)
    const source = alignedCopy(bytes, 2)
    const words = new Uint16Array(source.buffer, source.byteOffset, n)
    const out = new Float32Array(n)
    for (let i = 0; i < n; i++) out[i] = table[words[i]!]!
    return out
  }
  if (dtype === 'f8_e4m3') return Float32Array.from(bytes.subarray(0, n), f8ToNumber)
  const Storage = {
    f32: Float32Array,
    i32: Int32Array,
    u32: Uint32Array,
    i8: Int8Array,
    u8: Uint8Array,
    bool: Uint8Array,
  }[dtype]
  const source = alignedCopy(bytes, Storage.BYTES_PER_ELEMENT)
  return new Storage(source.buffer as ArrayBuffer, source.byteOffset, n).slice()
}

/** Bytes of values as `dtype`; narrowing to floats rounds to nearest even. Of block formats only q8_0 can be written. */
export function encodeValues(dtype: Dtype, values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  if (dtype === 'q8_0') return encodeQ8(values)
  invariant(!isQuant(dtype), `values cannot be written as ${dtype}`)
  if (dtype === 'f8_e4m3') return Uint8Array.from(values, numberToF8)
  if (dtype === 'f16' || dtype === 'bf16') {
    const narrow = dtype === 'f16' ? numberToF16 : numberToBf16
    const words = new Uint16Array(values.length)
    for (let i = 0; i < words.length; i++) words[i] = narrow(values[i]!)
    return new Uint8Array(words.buffer)
  }
  const Storage = {
    f32: Float32Array,
    i32: Int32Array,
    u32: Uint32Array,
    i8: Int8Array,
    u8: Uint8Array,
    bool: Uint8Array,
  }[dtype]
  const typed = new Storage(values.length)
  typed.set(values)
  return new Uint8Array(typed.buffer)
}

function encodeQ8(values: ArrayLike<number>): Uint8Array<ArrayBuffer> {
  const { block, bytes } = quantFormats.q8_0
  invariant(values.length % block === 0, `${values.length} values are not whole blocks`)
  const out = new Uint8Array((values.length / block) * bytes)
  const view = new DataView(out.buffer)
  for (let at = 0, to = 0; at < values.length; at += block, to += bytes) {
    const { step, codes } = q8Block(values, at)
    view.setUint16(to, step, true)
    for (const [i, code] of codes.entries()) view.setInt8(to + 2 + i, code)
  }
  return out
}
