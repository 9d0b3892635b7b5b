// Powers of floats to the last digit, as the C library has them; JavaScript's may be one unit off.

/** binary places that are computed with */
const BITS = 192n
const ONE = 1n << BITS
/** ln 2 = Σ 1 / (k · 2^k), summed with room to spare */
const LN2 = (() => {
  let sum = 0n
  for (let k = 1n; k < 220n; k++) sum += (ONE << 64n) / (k << k)
  return sum >> 64n
})()

/** a finite number above 0 as m · 2^e with an integer m */
function split(value: number): [mantissa: bigint, exponent: number] {
  let exponent = 0
  let mantissa = value
  while (!Number.isInteger(mantissa)) {
    mantissa *= 2
    exponent--
  }
  return [BigInt(mantissa), exponent]
}

/** ln of a finite number above 0, in units of 2^-BITS: 2 · artanh((x - 1) / (x + 1)) of x in [1, 2) */
function logarithm(value: number): bigint {
  const [mantissa, exponent] = split(value)
  const length = mantissa.toString(2).length - 1
  const x = (mantissa << BITS) >> BigInt(length)
  const z = ((x - ONE) << BITS) / (x + ONE)
  const square = (z * z) >> BITS
  let term = z
  let sum = 0n
  for (let k = 1n; term !== 0n; k += 2n) {
    sum += term / k
    term = (term * square) >> BITS
  }
  return 2n * sum + BigInt(length + exponent) * LN2
}

/** base^exponent of a finite base above 0 and a finite exponent; infinity where there is no such float. */
export function accuratePower(base: number, exponent: number): number {
  const rough = base ** exponent
  if (!Number.isFinite(rough) || rough < 1e-300) return rough
  const [mantissa, shift] = exponent === 0 ? [0n, 0] : split(Math.abs(exponent))
  const scaled = logarithm(base) * mantissa * (exponent < 0 ? -1n : 1n)
  const product = shift < 0 ? scaled >> BigInt(-shift) : scaled << BigInt(shift)
  let twos = product / LN2
  if (product < 0n) twos -= 1n
  const remainder = product - twos * LN2
  let term = ONE
  let sum = 0n
  for (let k = 1n; term !== 0n; k++) {
    sum += term
    term = ((term * remainder) >> BITS) / k
  }
  // 66 bits of the sum, which lies in [1, 2], round to the nearest float.
  return Number(sum >> (BITS - 66n)) * 2 ** (Number(twos) - 66)
}
