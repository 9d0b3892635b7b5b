// `'%s: %5.1f' % values`
import { raise, typeError, valueError } from './errors.ts'
import { floatText } from './format-spec.ts'
import { intToFloat, intToString } from './numbers.ts'
import { asciiRepr, repr, str } from './repr.ts'
import { codePoints, lengthOf } from './text.ts'
import {
  Bytes,
  Dict,
  isInt,
  isList,
  isNumber,
  isString,
  Markup,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

const DIRECTIVE = /%(?:\(((?:[^()]|\([^()]*\))*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d*))?[hlL]?([\s\S])?/gu

/** `escaped` is applied to what %s and %r show (for Markup). */
export function percentFormat(format: string, given: Value, escaped: (text: Value) => string = str): string {
  const args = given instanceof Tuple ? given.items : [given]
  const isMapping =
    isList(given) ||
    given instanceof Dict ||
    given instanceof Undefined ||
    given instanceof Bytes ||
    given instanceof Range
  let used = 0
  const next = (): Value => {
    if (used >= args.length) return typeError('not enough arguments for format string')
    return args[used++]!
  }
  const number = (text: string | undefined): number | undefined => {
    if (text !== '*') return text === undefined ? undefined : Number(text)
    const value = next()
    return isInt(value) ? Number(value) : typeError('* wants int')
  }
  const result = format.replace(DIRECTIVE, (all, key, flags: string, width, precision, type, offset: number) => {
    if (type === '%') return '%'
    let value: Value | undefined
    if (key !== undefined) {
      if (!isMapping) return typeError('format requires a mapping')
      value = mappingItem(given, key)
    }
    const columns = number(width)
    const places = number(precision === '' ? '0' : precision)
    if (type === undefined) return valueError('incomplete format')
    if ((columns ?? 0) > 1e7 || (places ?? 0) > 1e6) return valueError('width too big')
    if (!'diouxXeEfFgGcrsa'.includes(type)) {
      const index = lengthOf(format.slice(0, offset)) + lengthOf(all) - 1
      return valueError(
        `unsupported format character '${type}' (0x${type.codePointAt(0)!.toString(16)}) at index ${index}`,
      )
    }
    if (value === undefined) value = next()
    const left = flags.includes('-') || (columns ?? 0) < 0
    const [prefix, text] = conversion(type, value, flags, places, escaped)
    const missing = Math.max(0, Math.abs(columns ?? 0) - lengthOf(prefix + text))
    if (left) return prefix + text + ' '.repeat(missing)
    if (flags.includes('0') && 'diouxXeEfFgG'.includes(type)) return prefix + '0'.repeat(missing) + text
    return ' '.repeat(missing) + prefix + text
  })
  if (used < args.length && !isMapping) typeError('not all arguments converted during string formatting')
  return result
}

function mappingItem(given: Value, key: string): Value {
  if (given instanceof Dict) return given.has(key) ? given.get(key)! : raise('KeyError', repr(key))
  if (given instanceof Undefined) return raise(given.exception, given.message)
  return typeError(`${typeName(given)} indices must be integers or slices, not str`)
}

function conversion(
  type: string,
  value: Value,
  flags: string,
  precision: number | undefined,
  escaped: (text: Value) => string,
): [prefix: string, text: string] {
  switch (type) {
    case 's':
    case 'r':
    case 'a': {
      const text = type === 's' ? escaped(value) : escaped(type === 'r' ? repr(value) : asciiRepr(value))
      return ['', precision === undefined ? text : codePoints(text).slice(0, precision).join('')]
    }
    case 'c':
      if (isInt(value)) {
        if (BigInt(value) < 0n || BigInt(value) > 0x10ffffn)
          return raise('OverflowError', '%c arg not in range(0x110000)')
        return ['', String.fromCodePoint(Number(value))]
      }
      if (isString(value) && lengthOf(textOf(value)) === 1) return ['', textOf(value)]
      return typeError('%c requires int or char')
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return integerConversion(type, value, flags, precision)
  }
  if (value instanceof Undefined) return raise(value.exception, value.message)
  if (!isNumber(value)) {
    return typeError(`must be real number, not ${value instanceof Markup ? 'Markup' : typeName(value)}`)
  }
  const float = typeof value === 'number' ? value : intToFloat(value)
  return [
    signOf(float < 0 || Object.is(float, -0), flags),
    floatText(Math.abs(float), type, precision, flags.includes('#')),
  ]
}

const signOf = (negative: boolean, flags: string) =>
  negative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : ''

function integerConversion(type: string, value: Value, flags: string, precision: number | undefined): [string, string] {
  const decimal = 'diu'.includes(type)
  if (!(isInt(value) || (decimal && typeof value === 'number'))) {
    if (value instanceof Undefined && decimal) return raise(value.exception, value.message)
    const wanted = decimal ? 'a real number is required' : 'an integer is required'
    return typeError(`%${type} format: ${wanted}, not ${typeName(value)}`)
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    return Number.isNaN(value)
      ? raise('ValueError', 'cannot convert float NaN to integer')
      : raise('OverflowError', 'cannot convert float infinity to integer')
  }
  const int = typeof value === 'number' ? BigInt(Math.trunc(value)) : BigInt(value)
  const size = int < 0n ? -int : int
  const digits = decimal ? intToString(size) : size.toString(type === 'o' ? 8 : 16)
  const text = (type === 'X' ? digits.toUpperCase() : digits).padStart(precision ?? 0, '0')
  const base = flags.includes('#') && !decimal ? `0${type}` : ''
  return [signOf(int < 0n, flags) + base, text]
}
