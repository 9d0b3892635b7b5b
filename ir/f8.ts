// The 8-bit float e4m3 of OCP (1 sign, 4 exponent, 3 mantissa bits, bias 7; no infinities, NaN = 0x7f, largest 448) as
// JavaScript numbers. Narrowing rounds once, to nearest with ties to even; what is too large becomes ±448.

const largestF8 = 448

/** The value of the e4m3 whose bits are `bits`. */
export function f8ToNumber(bits: number): number {
  const [exponent, mantissa] = [(bits >> 3) & 15, bits & 7]
  const size = exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7)
  if ((bits & 0x7f) === 0x7f) return Number.NaN
  return bits & 0x80 ? -size : size
}

const table = Float64Array.from({ length: 127 }, (_, bits) => f8ToNumber(bits))

/** The bits of the e4m3 nearest to `value`. */
export function numberToF8(value: number): number {
  if (Number.isNaN(value)) return 0x7f
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0
  const size = Math.min(Math.abs(value), largestF8)
  let [low, high] = [0, 126] // table[low] ≤ size ≤ table[high]
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (table[middle]! <= size) low = middle
    else high = middle
  }
  const [below, above] = [size - table[low]!, table[high]! - size]
  return sign | (below < above || (below === above && low % 2 === 0) ? low : high)
}
