// Contents of a quoted string in a template: Python's escapes, read as jinja2 reads them (codec unicode-escape).
import { syntaxError } from './errors.ts'

const SIMPLE: Readonly<Record<string, string>> = {
  '\n': '',
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
}
const HEX_LENGTH: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

export function unescapeString(quoted: string, line: number): string {
  const raw = quoted.slice(1, -1)
  if (!raw.includes('\\')) return raw
  // The codec sees what is not ASCII as escapes already: a backslash before such a character escapes the escape.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the end of ASCII
  const ascii = raw.replace(/\\[^\x00-\x7f]|[\s\S]/gu, (piece) =>
    piece.length > 1 && piece[0] === '\\' ? `\\\\${asEscape(piece.codePointAt(1)!).slice(1)}` : piece,
  )
  return ascii.replace(
    /\\(?:([0-7]{1,3})|N\{([^}]*)\}|([xuU])([\da-fA-F]*)|([\s\S]))/g,
    (all, octal, name, kind, hex, one) => {
      if (octal !== undefined) return String.fromCodePoint(Number.parseInt(octal, 8))
      if (name !== undefined) return syntaxError('unknown Unicode character name', line)
      if (kind !== undefined) {
        const length = HEX_LENGTH[kind]!
        if (hex.length < length) {
          return syntaxError(`truncated \\${kind}${'X'.repeat(length)} escape`, line)
        }
        const code = Number.parseInt(hex.slice(0, length), 16)
        if (code > 0x10ffff) return syntaxError('illegal Unicode character', line)
        return String.fromCodePoint(code) + hex.slice(length)
      }
      if (one === 'N') return syntaxError('malformed \\N character escape', line)
      return SIMPLE[one] ?? all
    },
  )
}

function asEscape(code: number): string {
  const hex = code.toString(16)
  if (code < 0x100) return `\\x${hex}`
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`
}
