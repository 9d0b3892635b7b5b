// The two 16-bit floats as JavaScript numbers: f16 (1 sign, 5 exponent, 10 mantissa bits) and bf16 (the upper half of
// an f32). Narrowing rounds once, to nearest with ties to even, straight from float64.

const scratch = new DataView(new ArrayBuffer(8))

/** The value of the f16 whose 16 bits are `bits`. */
export function f16ToNumber(bits: number): number {
  const exponent = (bits >> 10) & 31
  const mantissa = bits & 1023
  const size =
    exponent === 0
      ? mantissa * 2 ** -24
      : exponent === 31
        ? mantissa
          ? Number.NaN
          : Number.POSITIVE_INFINITY
        : (1 + mantissa / 1024) * 2 ** (exponent - 15)
  return bits & 0x8000 ? -size : size
}

/** The 16 bits of the f16 nearest to `value`; 65520 and above become infinity. */
export function numberToF16(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  if (Number.isNaN(value)) return 0x7e00
  const size = Math.abs(value)
  if (size >= 65520) return sign | 0x7c00
  if (size < 2 ** -14) return sign | tiesToEven(size * 2 ** 24) // subnormal; 1024 carries into the smallest normal
  const exponent = exponentOf(size)
  return sign | (((exponent + 15) << 10) + tiesToEven((size / 2 ** exponent - 1) * 1024)) // a carry moves the exponent up
}

/** The value of the bf16 whose 16 bits are `bits`. */
export function bf16ToNumber(bits: number): number {
  scratch.setUint32(0, bits << 16)
  return scratch.getFloat32(0)
}

/** The 16 bits of the bf16 nearest to `value`. */
export function numberToBf16(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  if (size === Number.POSITIVE_INFINITY) return sign | 0x7f80
  if (size < 2 ** -126) return sign | tiesToEven(size * 2 ** 133) // subnormal
  const exponent = exponentOf(size)
  const bits = ((exponent + 127) << 7) + tiesToEven((size / 2 ** exponent - 1) * 128)
  return sign | Math.min(bits, 0x7f80)
}

/** floor(log2(size)) of a positive normal float64. */
function exponentOf(size: number): number {
  scratch.setFloat64(0, size)
  return ((scratch.getUint16(0) >> 4) & 2047) - 1023
}

function tiesToEven(value: number): number {
  const down = Math.floor(value)
  const rest = value - down
  return rest > 0.5 || (rest === 0.5 && down % 2 === 1) ? down + 1 : down
}
