// Filters on single values: numbers, defaults, JSON, attributes.

import { binary } from './arithmetic.ts'
import { getAttribute, missingAttribute, ownAttribute } from './attributes.ts'
import { len } from './compare.ts'
import { raise, typeError } from './errors.ts'
import type { Filter, Filters } from './filters.ts'
import { TOJSON_PARAMETERS, toJson } from './json.ts'
import { fixed, intToFloat, parseFloatText, parseInteger, roundFloat, roundInt } from './numbers.ts'
import { prettyPrint } from './pretty-print.ts'
import { repr, str } from './repr.ts'
import { asIndex, type Bound } from './signature.ts'
import { isInt, isNumber, isString, textOf, truthy, typeName, Undefined, type Value } from './values.ts'

const LENGTH: Filter = ['len', '/ obj', ([value]) => len(value!)]
const DEFAULT: Filter = [
  'do_default',
  'value default_value= boolean=',
  ([value, fallback = '', boolean = false]) =>
    value instanceof Undefined || (truthy(boolean) && !truthy(value!)) ? fallback : value!,
]

/** `int(x)` of a number; undefined where Python raises ValueError or TypeError. */
function wholeOf(value: Value): bigint | undefined {
  if (isInt(value)) return BigInt(value)
  if (value instanceof Undefined) return raise(value.exception, value.message)
  if (typeof value !== 'number' || Number.isNaN(value)) return undefined
  if (!Number.isFinite(value)) return raise('OverflowError', 'cannot convert float infinity to integer')
  return BigInt(Math.trunc(value))
}

function toInt([value, fallback = 0n, base = 10n]: Bound): Value {
  const whole = isString(value!) ? parseInteger(textOf(value), asIndex(base)) : wholeOf(value!)
  if (whole !== undefined) return whole
  const float = toFloat(value!)
  return float !== undefined && Number.isFinite(float) ? BigInt(Math.trunc(float)) : fallback
}

/** `float(x)`; undefined where Python raises ValueError or TypeError. */
function toFloat(value: Value): number | undefined {
  if (isString(value)) return parseFloatText(textOf(value))
  if (value instanceof Undefined) return raise(value.exception, value.message)
  return typeof value === 'number' ? value : isInt(value) ? intToFloat(value) : undefined
}

function round([value, precision = 0n, method = 'common']: Bound): Value {
  const how = isString(method) ? textOf(method) : ''
  if (!['common', 'ceil', 'floor'].includes(how)) {
    return raise('FilterArgumentError', 'method must be common, ceil or floor')
  }
  if (how === 'common') {
    if (!isNumber(value!)) return typeError(`type ${typeName(value!)} doesn't define __round__ method`)
    if (precision === null) {
      if (isInt(value)) return BigInt(value)
      return wholeOf(roundFloat(value, 0)) ?? raise('ValueError', 'cannot convert float NaN to integer')
    }
    if (!isInt(precision)) return typeError(`'${typeName(precision)}' object cannot be interpreted as an integer`)
    return isInt(value) ? roundInt(BigInt(value), BigInt(precision)) : roundFloat(value, Number(precision))
  }
  const scale = binary('**', 10n, precision)
  const scaled = binary('*', value!, scale)
  if (!isNumber(scaled)) return typeError(`must be real number, not ${typeName(scaled)}`)
  if (isInt(scaled)) return binary('/', scaled, scale)
  if (Number.isNaN(scaled)) return raise('ValueError', 'cannot convert float NaN to integer')
  return binary('/', wholeOf(how === 'ceil' ? Math.ceil(scaled) : Math.floor(scaled))!, scale)
}

function fileSize([value, binaryUnits = false]: Bound): string {
  const size = toFloat(value!)
  if (size === undefined) {
    if (isString(value!)) return raise('ValueError', `could not convert string to float: ${repr(value)}`)
    return typeError(`float() argument must be a string or a real number, not '${typeName(value!)}'`)
  }
  const isBinary = truthy(binaryUnits)
  const base = isBinary ? 1024 : 1000
  if (size === 1) return '1 Byte'
  if (size < base) return `${wholeOf(size)} Bytes`
  const prefixes = [...'kMGTPEZY'].map((letter) => (isBinary ? `${letter.toUpperCase()}iB` : `${letter}B`))
  let unit = base
  for (const [index, prefix] of prefixes.entries()) {
    unit = base ** (index + 2)
    if (size < unit || index === prefixes.length - 1) {
      const amount = (base * size) / unit
      const text = Number.isFinite(amount) ? fixed(amount, 1) : Number.isNaN(amount) ? 'nan' : 'inf'
      return `${text} ${prefix}`
    }
  }
  return str(size)
}

function absolute([value]: Bound): Value {
  if (isInt(value!)) return BigInt(value) < 0n ? -BigInt(value) : BigInt(value)
  if (typeof value === 'number') return Math.abs(value)
  return typeError(`bad operand type for abs(): '${typeName(value!)}'`)
}

export const valueFilters: Filters = {
  abs: ['abs', '/ x', absolute],
  attr: [
    'do_attr',
    'obj name',
    ([value, name]) => {
      if (!isString(name!)) return typeError(`attribute name must be string, not '${typeName(name!)}'`)
      const found = ownAttribute(value!, textOf(name))
      return found === undefined ? missingAttribute(value!, name) : getAttribute(value!, textOf(name))
    },
  ],
  count: LENGTH,
  length: LENGTH,
  d: DEFAULT,
  default: DEFAULT,
  filesizeformat: ['do_filesizeformat', 'value binary=', fileSize],
  float: ['do_float', 'value default=', ([value, fallback = 0]) => toFloat(value!) ?? fallback],
  int: ['do_int', 'value default= base=', toInt],
  pprint: ['do_pprint', 'value', ([value]) => prettyPrint(value!)],
  round: ['do_round', 'value precision= method=', round],
  tojson: ['tojson', TOJSON_PARAMETERS, toJson],
}
