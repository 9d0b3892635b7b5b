// Numbers to text and back as Python does it: shortest float text, exact decimal rounding, int() and float() of text.
import { raise, TooLarge, valueError } from './errors.ts'
import { isDecimal, strip } from './text.ts'

/** bits of an int beyond which arithmetic would take seconds */
const MAX_BITS = 4_000_000
const MAX_INT = 1n << BigInt(MAX_BITS)
const MIN_INT = -MAX_INT
/** digits that Python turns an int into, or reads one from */
const MAX_DIGITS = 4300
const MAX_PRINTED = 10n ** BigInt(MAX_DIGITS)
const MIN_PRINTED = -MAX_PRINTED

export function boundedInt(value: bigint): bigint {
  if (value > MAX_INT || value < MIN_INT) throw new TooLarge(`an int of more than ${MAX_BITS} bits`)
  return value
}

export function powInt(base: bigint, exponent: bigint): bigint {
  const size = base < 0n ? -base : base
  if (size > 1n) {
    const bits = size > 2n ** 1000n ? MAX_BITS / 4 : size.toString(2).length
    if (exponent * BigInt(bits) > BigInt(MAX_BITS)) throw new TooLarge(`an int of more than ${MAX_BITS} bits`)
  }
  return base ** exponent
}

export function intToString(value: bigint): string {
  if (value >= MAX_PRINTED || value <= MIN_PRINTED) {
    return valueError(
      `Exceeds the limit (${MAX_DIGITS} digits) for integer string conversion; use sys.set_int_max_str_digits() to increase the limit`,
    )
  }
  return String(value)
}

/** int → float, as arithmetic of both does it. */
export function intToFloat(value: bigint | boolean): number {
  const float = Number(value)
  if (!Number.isFinite(float)) raise('OverflowError', 'int too large to convert to float')
  return float
}

export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return 'nan'
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf'
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const [mantissa = '', exponentText = '0'] = value.toExponential().split('e')
  const exponent = Number(exponentText)
  if (exponent < -4 || exponent >= 16) return `${mantissa}e${signedExponent(exponent)}`
  const digits = mantissa.replace(/[-.]/g, '')
  const sign = value < 0 ? '-' : ''
  if (exponent < 0) return `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, '0')
  return `${sign}${whole}.${digits.slice(exponent + 1) || '0'}`
}

export const signedExponent = (exponent: number): string =>
  `${exponent < 0 ? '-' : '+'}${String(Math.abs(exponent)).padStart(2, '0')}`

/** The double as an exact fraction m · 2^e. */
function decompose(value: number): [mantissa: bigint, exponent: number] {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, Math.abs(value))
  const bits = view.getBigUint64(0)
  const biased = Number(bits >> 52n)
  const fraction = bits & 0xfffffffffffffn
  return biased === 0 ? [fraction, -1074] : [fraction | 0x10000000000000n, biased - 1075]
}

const roundedQuotient = (numerator: bigint, denominator: bigint): bigint => {
  const quotient = numerator / denominator
  const twice = (numerator % denominator) * 2n
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient
}

/** |value| · 10^places, rounded half to even, exactly. */
function scaledDecimal(value: number, places: number): bigint {
  if (places > 5000) throw new TooLarge(`${places} decimal places`)
  const [mantissa, exponent] = decompose(value)
  const up = 10n ** BigInt(Math.max(0, places)) * 2n ** BigInt(Math.max(0, exponent))
  const down = 10n ** BigInt(Math.max(0, -places)) * 2n ** BigInt(Math.max(0, -exponent))
  return roundedQuotient(mantissa * up, down)
}

/** |value| with a number of decimal places: '12.50'. */
export function fixed(value: number, places: number): string {
  const digits = String(scaledDecimal(value, places)).padStart(places + 1, '0')
  return places === 0 ? digits : `${digits.slice(0, -places)}.${digits.slice(-places)}`
}

/** Decimal digits of |value| rounded to `count` of them, and the exponent of the first. */
export function significant(value: number, count: number): { digits: string; exponent: number } {
  if (value === 0) return { digits: '0'.repeat(count), exponent: 0 }
  let exponent = Math.floor(Math.log10(Math.abs(value)))
  if (!Number.isFinite(exponent)) exponent = -324
  for (;;) {
    const digits = String(scaledDecimal(value, count - 1 - exponent))
    if (digits.length === count) return { digits, exponent }
    exponent += digits.length > count ? 1 : -1
    if (digits.length > count && Number(digits) === 10 ** count) return { digits: digits.slice(0, count), exponent }
  }
}

/** Python's round(float, places). */
export function roundFloat(value: number, places: number): number {
  if (!Number.isFinite(value) || places > 323) return value
  if (places < -309) return value < 0 ? -0 : 0
  const scaled = scaledDecimal(value, places)
  const text = places >= 0 ? fixed(value, places) : `${scaled}e${-places}`
  const rounded = Number(text)
  if (!Number.isFinite(rounded)) raise('OverflowError', 'rounded value too large to represent')
  return value < 0 || Object.is(value, -0) ? -rounded : rounded
}

/** Python's round(int, places): half to even at tens, hundreds, … */
export function roundInt(value: bigint, places: bigint): bigint {
  if (places >= 0n) return value
  const unit = powInt(10n, -places)
  const rounded = roundedQuotient(value < 0n ? -value : value, unit) * unit
  return value < 0n ? -rounded : rounded
}

/** An int quotient as the nearest float. */
export function divideInts(a: bigint, b: bigint): number {
  if (b === 0n) return raise('ZeroDivisionError', 'division by zero')
  const safe = BigInt(Number.MAX_SAFE_INTEGER)
  const small = (value: bigint) => value <= safe && value >= -safe
  if (small(a) && small(b)) return Number(a) / Number(b)
  const negative = a < 0n !== b < 0n
  const [top, bottom] = [a < 0n ? -a : a, b < 0n ? -b : b]
  const shift = bottom.toString(2).length - top.toString(2).length + 66
  const scaled = shift >= 0 ? (top << BigInt(shift)) / bottom : top / (bottom << BigInt(-shift))
  const inexact = shift >= 0 ? (top << BigInt(shift)) % bottom !== 0n : top % (bottom << BigInt(-shift)) !== 0n
  // A last bit that says "and more" keeps Number()'s rounding of the 66 bits right.
  const quotient = Number(inexact ? scaled | 1n : scaled) * 2 ** -shift
  if (!Number.isFinite(quotient)) raise('OverflowError', 'integer division result too large for a float')
  return negative ? -quotient : quotient
}

/** Digits of any script to ASCII; what is no digit stays. */
function asciiDigits(text: string): string {
  return text.replace(/\p{Nd}/gu, (digit) => {
    const code = digit.codePointAt(0)!
    if (code < 128) return digit
    let zero = code
    while (isDecimal(String.fromCodePoint(zero - 1)) && code - zero < 9) zero--
    return String((code - zero) % 10)
  })
}

/** `int(text, base)`; undefined where Python raises ValueError. */
export function parseInteger(text: string, base: number): bigint | undefined {
  const clean = asciiDigits(strip(text)).toLowerCase()
  const match = /^([+-]?)(0[box])?(_?[\da-z]+(?:_[\da-z]+)*)$/.exec(clean)
  if (match === null || (base !== 0 && (base < 2 || base > 36))) return undefined
  const [, sign, prefix, digits = ''] = match
  const prefixBase = prefix === undefined ? undefined : { '0b': 2, '0o': 8, '0x': 16 }[prefix as '0b' | '0o' | '0x']
  let radix = base
  let body = digits
  if (base === 0) {
    radix = prefixBase ?? 10
    if (prefixBase === undefined && /^0[\d_]*[1-9]/.test(digits)) return undefined
  } else if (prefixBase !== undefined && prefixBase !== base) body = prefix + digits
  if (body.startsWith('_') && (prefixBase === undefined || body !== digits)) return undefined
  const plain = body.replaceAll('_', '')
  if (radix === 10 && plain.length > MAX_DIGITS) {
    valueError(
      `Exceeds the limit (${MAX_DIGITS} digits) for integer string conversion: value has ${plain.length} digits`,
    )
  }
  let value = 0n
  if (radix === 10 && /^\d+$/.test(plain)) value = BigInt(plain)
  else {
    for (const char of plain) {
      const digit = Number.parseInt(char, 36)
      if (!(digit < radix)) return undefined
      value = value * BigInt(radix) + BigInt(digit)
    }
  }
  return sign === '-' ? -value : value
}

/** `float(text)`; undefined where Python raises ValueError. */
export function parseFloatText(text: string): number | undefined {
  const clean = asciiDigits(strip(text)).toLowerCase()
  const special = /^([+-]?)(inf|infinity|nan)$/.exec(clean)
  if (special) return (special[1] === '-' ? -1 : 1) * (special[2] === 'nan' ? Number.NaN : Number.POSITIVE_INFINITY)
  const digits = String.raw`\d+(?:_\d+)*`
  const form = new RegExp(String.raw`^[+-]?(?:${digits}\.?(?:${digits})?|\.${digits})(?:e[+-]?${digits})?$`)
  return form.test(clean) ? Number(clean.replaceAll('_', '')) : undefined
}
