// `str()` and `repr()` of values.
import { floatRepr, intToString } from './numbers.ts'
import {
  Bytes,
  Callable,
  Dict,
  DictView,
  Generator,
  isList,
  Markup,
  Namespace,
  Range,
  Tuple,
  Undefined,
  type Value,
} from './values.ts'

/** where an object would lie in memory: printed by Python, of no meaning */
const ADDRESS = '0x7f0000000000'

export function str(value: Value): string {
  if (typeof value === 'string') return value
  if (value instanceof Markup) return value.text
  if (value instanceof Undefined) return ''
  return repr(value)
}

export function repr(value: Value): string {
  switch (typeof value) {
    case 'string':
      return reprText(value)
    case 'boolean':
      return value ? 'True' : 'False'
    case 'bigint':
      return intToString(value)
    case 'number':
      return floatRepr(value)
  }
  if (value === null) return 'None'
  if (isList(value)) return `[${value.map(repr).join(', ')}]`
  if (value instanceof Tuple) return `(${value.items.map(repr).join(', ')}${value.items.length === 1 ? ',' : ''})`
  if (value instanceof Dict) return `{${value.entries().map(reprPair).join(', ')}}`
  if (value instanceof DictView) return `${value.typeName}([${value.list().map(repr).join(', ')}])`
  if (value instanceof Range) {
    return `range(${value.start}, ${value.stop}${value.step === 1n ? '' : `, ${value.step}`})`
  }
  if (value instanceof Markup) return `Markup(${reprText(value.text)})`
  if (value instanceof Undefined) return 'Undefined'
  if (value instanceof Namespace) return `<Namespace ${repr(value.attributes)}>`
  if (value instanceof Callable) return value.shown.replace('ADDRESS', ADDRESS)
  if (value instanceof Bytes) return reprBytes(value.bytes)
  if (value instanceof Generator) {
    return `<${value.typeName} object ${value.name === undefined ? '' : `${value.name} `}at ${ADDRESS}>`
  }
  return value.toString()
}

const reprPair = ([key, value]: readonly [Value, Value]) => `${repr(key)}: ${repr(value)}`

const SIMPLE: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' }
const SPECIAL = /[\\\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu

export function reprText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = text.replace(SPECIAL, (char) => SIMPLE[char] ?? escapeCode(char.codePointAt(0)!))
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote
}

function escapeCode(code: number): string {
  const hex = code.toString(16)
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}

/** `ascii()`: repr with everything beyond ASCII escaped. */
export const asciiRepr = (value: Value): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the end of ASCII
  repr(value).replace(/[^\x00-\x7f]/gu, (char) => escapeCode(char.codePointAt(0)!))

function reprBytes(bytes: Uint8Array): string {
  const chars = [...bytes].map((byte) => String.fromCharCode(byte))
  const quote = chars.includes("'") && !chars.includes('"') ? '"' : "'"
  const shown = chars.map((char) => {
    if (char === quote) return `\\${char}`
    const code = char.charCodeAt(0)
    return SIMPLE[char] ?? (code < 32 || code > 126 ? escapeCode(code) : char)
  })
  return `b${quote}${shown.join('')}${quote}`
}
