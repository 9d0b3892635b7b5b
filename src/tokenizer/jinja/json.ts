// The `tojson` filter as chats have it: Python's json.dumps with its options, and nothing escaped for HTML.
import { compares } from './compare.ts'
import { typeError, valueError } from './errors.ts'
import { floatRepr, intToString } from './numbers.ts'
import { asItems } from './object-methods.ts'
import { str } from './repr.ts'
import { asIndex, type Bound } from './signature.ts'
import { Dict, isInt, isString, Markup, textOf, truthy, typeName, type Value } from './values.ts'

interface Options {
  readonly ascii: boolean
  /** undefined: all on one line */
  readonly indent: string | undefined
  readonly itemSeparator: string
  readonly keySeparator: string
  readonly sortKeys: boolean
}

export const TOJSON_PARAMETERS = 'x ensure_ascii= indent= separators= sort_keys='

export function toJson([value, ascii, indent, separators, sortKeys]: Bound): string {
  const shift = indentation(indent ?? null)
  const [itemSeparator, keySeparator] = readSeparators(separators ?? null, shift === undefined)
  const options = {
    ascii: ascii !== undefined && truthy(ascii),
    indent: shift,
    itemSeparator,
    keySeparator,
    sortKeys: sortKeys !== undefined && truthy(sortKeys),
  }
  return dump(value!, options, '\n')
}

function indentation(indent: Value): string | undefined {
  if (indent === null) return undefined
  return isString(indent) ? textOf(indent) : ' '.repeat(Math.max(0, asIndex(indent)))
}

function readSeparators(given: Value, oneLine: boolean): [item: string, key: string] {
  if (given === null) return [oneLine ? ', ' : ',', ': ']
  const items = isString(given) ? [...textOf(given)] : asItems(given)
  if (items === undefined) return typeError(`cannot unpack non-iterable ${typeName(given)} object`)
  if (items.length !== 2) {
    return valueError(
      items.length > 2
        ? 'too many values to unpack (expected 2)'
        : `not enough values to unpack (expected 2, got ${items.length})`,
    )
  }
  const [item, key] = items
  return isString(item!) && isString(key!) ? [textOf(item), textOf(key)] : typeError('separators must be text')
}

function dump(value: Value, options: Options, newline: string): string {
  if (value instanceof Markup) return quote(value.text, options.ascii)
  switch (typeof value) {
    case 'string':
      return quote(value, options.ascii)
    case 'boolean':
      return String(value)
    case 'bigint':
      return intToString(value)
    case 'number':
      return jsonFloat(value)
  }
  if (value === null) return 'null'
  const items = asItems(value)
  const inner = options.indent === undefined ? '' : newline + options.indent
  const wrap = (open: string, parts: readonly string[], close: string) => {
    if (parts.length === 0) return open + close
    const outer = options.indent === undefined ? '' : newline
    return open + inner + parts.join(options.itemSeparator + inner) + outer + close
  }
  if (items !== undefined) {
    return wrap(
      '[',
      items.map((item) => dump(item, options, inner)),
      ']',
    )
  }
  if (value instanceof Dict) {
    const entries = options.sortKeys ? sortEntries(value.entries()) : value.entries()
    const parts = entries.map(
      ([key, item]) => quote(keyText(key), options.ascii) + options.keySeparator + dump(item, options, inner),
    )
    return wrap('{', parts, '}')
  }
  return typeError(`Object of type ${typeName(value)} is not JSON serializable`)
}

const sortEntries = (entries: [Value, Value][]) =>
  entries.sort(([a], [b]) => (compares(a, '<', b) ? -1 : compares(b, '<', a) ? 1 : 0))

function keyText(key: Value): string {
  if (isString(key)) return textOf(key)
  if (typeof key === 'boolean') return String(key)
  if (isInt(key)) return str(key)
  if (typeof key === 'number') return jsonFloat(key)
  if (key === null) return 'null'
  return typeError(`keys must be str, int, float, bool or None, not ${typeName(key)}`)
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  return Number.isFinite(value) ? floatRepr(value) : value > 0 ? 'Infinity' : '-Infinity'
}

const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\f': '\\f',
  '\b': '\\b',
}
const escapeUnit = (char: string) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`

function quote(text: string, ascii: boolean): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what JSON escapes
  const special = ascii ? /["\\\x00-\x1f]|[^\x00-\x7e]/g : /["\\\x00-\x1f]/g
  return `"${text.replace(special, (char) => (char === '\x7f' ? char : escapeUnit(char)))}"`
}
