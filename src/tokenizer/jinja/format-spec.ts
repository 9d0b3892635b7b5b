// Python's format specifications, as in '{:>8.2f}': [[fill]align][sign][z][#][0][width][grouping][.precision][type]
import { raise, valueError } from './errors.ts'
import { fixed, floatRepr, intToFloat, intToString, signedExponent, significant } from './numbers.ts'
import { str } from './repr.ts'
import { codePoints, lengthOf } from './text.ts'
import { isString, textOf, typeName, type Value } from './values.ts'

interface Spec {
  readonly fill: string
  readonly align: string | undefined
  readonly sign: string
  readonly alternate: boolean
  readonly width: number
  readonly grouping: string
  readonly precision: number | undefined
  readonly type: string
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(z)?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([\s\S])?$/u

export function formatValue(value: Value, specText: string): string {
  if (specText === '') return str(value)
  if (!isString(value) && typeof value !== 'boolean' && typeof value !== 'bigint' && typeof value !== 'number') {
    return raise('TypeError', `unsupported format string passed to ${typeName(value)}.__format__`)
  }
  const spec = parseSpec(specText, value)
  if (isString(value)) return formatText(textOf(value), spec)
  if (typeof value === 'number') return formatFloat(value, spec)
  return formatInt(BigInt(value), spec, typeof value === 'boolean' ? 'bool' : 'int')
}

function parseSpec(text: string, value: Value): Spec {
  const match = SPEC.exec(text)
  if (match === null) {
    if (/\.(?!\d)/.test(text)) return valueError('Format specifier missing precision')
    return valueError(`Invalid format specifier '${text}' for object of type '${typeName(value)}'`)
  }
  const [, fill, align, sign, , alternate, zero, width, grouping, precision, type] = match
  if (Number(width ?? 0) > 1e6 || Number(precision ?? 0) > 1e6)
    return valueError('Too many decimal digits in format string')
  return {
    fill: fill ?? (zero ? '0' : ' '),
    align: align ?? (zero && !isString(value) ? '=' : undefined),
    sign: sign ?? '',
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping: grouping ?? '',
    precision: precision === undefined ? undefined : Number(precision),
    type: type ?? '',
  }
}

function formatText(text: string, spec: Spec): string {
  if (spec.type !== '' && spec.type !== 's') unknownType(spec.type, 'str')
  if (spec.sign !== '')
    valueError(
      spec.sign === ' '
        ? 'Space not allowed in string format specifier'
        : 'Sign not allowed in string format specifier',
    )
  if (spec.alternate) valueError('Alternate form (#) not allowed in string format specifier')
  if (spec.grouping !== '') valueError(`Cannot specify '${spec.grouping}' with 's'.`)
  if (spec.align === '=') valueError("'=' alignment not allowed in string format specifier")
  const cut = spec.precision === undefined ? text : codePoints(text).slice(0, spec.precision).join('')
  return pad('', cut, { ...spec, align: spec.align ?? '<' })
}

const unknownType = (type: string, name: string) =>
  valueError(`Unknown format code '${type}' for object of type '${name}'`)

function formatInt(value: bigint, spec: Spec, name: string): string {
  if ('eEfFgG%'.includes(spec.type) && spec.type !== '') return formatFloat(intToFloat(value), spec)
  if (spec.precision !== undefined) valueError('Precision not allowed in integer format specifier')
  const size = value < 0n ? -value : value
  const sign = signOf(value < 0n, spec.sign)
  switch (spec.type) {
    case '':
    case 'd':
    case 'n':
      if (spec.type === 'n' && spec.grouping !== '') valueError(`Cannot specify '${spec.grouping}' with 'n'.`)
      return pad(sign, group(intToString(size), spec, 3, sign), spec)
    case 'b':
    case 'o':
    case 'x':
    case 'X': {
      if (spec.grouping === ',') valueError(`Cannot specify ',' with '${spec.type}'.`)
      const digits = size.toString({ b: 2, o: 8, x: 16, X: 16 }[spec.type])
      const prefix = sign + (spec.alternate ? `0${spec.type}` : '')
      const text = group(spec.type === 'X' ? digits.toUpperCase() : digits, spec, 4, prefix)
      return pad(prefix, text, spec)
    }
    case 'c':
      if (spec.sign !== '') valueError("Sign not allowed with integer format specifier 'c'")
      if (size > 0x10ffffn || value < 0n) return raise('OverflowError', '%c arg not in range(0x110000)')
      return pad('', String.fromCodePoint(Number(value)), { ...spec, align: spec.align ?? '<' })
  }
  return unknownType(spec.type, name)
}

const signOf = (negative: boolean, option: string) => (negative ? '-' : option === '-' ? '' : option)

function formatFloat(value: number, spec: Spec): string {
  if (!'eEfFgGn%'.includes(spec.type)) return unknownType(spec.type, 'float')
  const negative = value < 0 || Object.is(value, -0)
  let text: string
  if (spec.type === '' && spec.precision === undefined) text = floatRepr(Math.abs(value))
  else text = floatText(Math.abs(value), spec.type, spec.precision, spec.alternate)
  const sign = signOf(negative, spec.sign)
  return pad(sign, group(text, spec, 3, sign), spec)
}

/** |value| by one of the forms e, f, g, % (or Python's own, '') with a precision. */
export function floatText(value: number, type: string, precision: number | undefined, alternate = false): string {
  const upper = type === 'E' || type === 'F' || type === 'G'
  if (!Number.isFinite(value)) {
    const text = Number.isNaN(value) ? 'nan' : 'inf'
    return (upper ? text.toUpperCase() : text) + (type === '%' ? '%' : '')
  }
  const places = precision ?? 6
  let text: string
  switch (type) {
    case 'e':
    case 'E': {
      const { digits, exponent } = significant(value, places + 1)
      const point = places > 0 || alternate ? '.' : ''
      text = `${digits[0]}${point}${digits.slice(1)}e${signedExponent(exponent)}`
      break
    }
    case 'f':
    case 'F':
      text = fixed(value, places) + (alternate && places === 0 ? '.' : '')
      break
    case '%':
      return `${fixed(value * 100, places)}${alternate && places === 0 ? '.' : ''}%`
    default:
      text = general(value, places, type === '', alternate)
  }
  return upper ? text.toUpperCase() : text
}

function general(value: number, precision: number, isPlain: boolean, alternate: boolean): string {
  const count = precision || 1
  const { digits, exponent } = significant(value, count)
  const trim = (text: string) => (alternate || !text.includes('.') ? text : text.replace(/\.?0+$/, ''))
  const limit = isPlain && count > 1 ? count - 1 : count
  if (exponent < -4 || exponent >= limit) {
    return `${trim(`${digits[0]}.${digits.slice(1)}`).replace(/\.$/, alternate ? '.' : '')}e${signedExponent(exponent)}`
  }
  const text =
    exponent < 0
      ? `0.${'0'.repeat(-exponent - 1)}${digits}`
      : `${digits.slice(0, exponent + 1)}.${digits.slice(exponent + 1)}`
  const trimmed = alternate ? text : trim(text).replace(/\.$/, '')
  return isPlain && !trimmed.includes('.') ? `${trimmed}.0` : trimmed
}

/** Separators of thousands, counted from the point; a fill of zeros with them fills the width. */
function group(text: string, spec: Spec, every: number, sign: string): string {
  if (spec.grouping === '') return text
  const [, whole = '', tail = ''] = /^([\da-fA-F]*)(.*)$/s.exec(every === 3 ? text.replace(/e/, '\ue000') : text) ?? []
  const separated = (digits: string) =>
    digits.replace(new RegExp(`\\B(?=(?:[\\da-fA-F]{${every}})+$)`, 'g'), spec.grouping)
  let digits = whole
  if (spec.fill === '0' && spec.align === '=') {
    while (lengthOf(separated(digits) + tail) < spec.width - lengthOf(sign)) digits = `0${digits}`
  }
  return separated(digits) + tail.replace('\ue000', 'e')
}

function pad(prefix: string, text: string, spec: Spec): string {
  const missing = spec.width - lengthOf(prefix + text)
  if (missing <= 0) return prefix + text
  switch (spec.align ?? '>') {
    case '<':
      return prefix + text + spec.fill.repeat(missing)
    case '^': {
      const left = missing >> 1
      return spec.fill.repeat(left) + prefix + text + spec.fill.repeat(missing - left)
    }
    case '=':
      return prefix + spec.fill.repeat(missing) + text
  }
  return spec.fill.repeat(missing) + prefix + text
}
