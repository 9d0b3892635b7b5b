// Escaping for HTML, and text that is marked as escaped.
import { str } from './repr.ts'
import { splitAtSpaces } from './text.ts'
import { Markup, type Value } from './values.ts'

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '>': '&gt;', '<': '&lt;', "'": '&#39;', '"': '&#34;' }

export function escapeHtml(value: Value): Markup {
  return value instanceof Markup ? value : escapeText(str(value))
}

export const escapeText = (text: string): Markup => new Markup(text.replace(/[&><'"]/g, (char) => ESCAPES[char]!))

/** Entities that unescaping knows by name; the numbers it knows all. */
const ENTITIES: Readonly<Record<string, string>> = {
  amp: '&',
  lt: '<',
  gt: '>',
  quot: '"',
  apos: "'",
  nbsp: '\u00a0',
  copy: '©',
  reg: '®',
  laquo: '«',
  raquo: '»',
  hellip: '…',
  ndash: '–',
  mdash: '—',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  bull: '•',
  middot: '·',
  times: '×',
  deg: '°',
  euro: '€',
  trade: '™',
}

export const unescapeHtml = (text: string): string =>
  text.replace(/&(?:#[xX]([0-9a-fA-F]+);?|#(\d+);?|(\w+);)/g, (all, hex, decimal, name) => {
    if (name !== undefined) return ENTITIES[name] ?? all
    const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal)
    if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return '\ufffd'
    return String.fromCodePoint(code)
  })

/** Without comments, tags and entities, white space to single blanks. */
export function stripTags(text: string): string {
  let value = removed(text, '<!--', '-->')
  value = removed(value, '<', '>')
  return unescapeHtml(splitAtSpaces(value).join(' '))
}

function removed(text: string, open: string, close: string): string {
  let value = text
  for (let start = value.indexOf(open); start >= 0; start = value.indexOf(open)) {
    const end = value.indexOf(close, start)
    if (end < 0) break
    value = value.slice(0, start) + value.slice(end + close.length)
  }
  return value
}
