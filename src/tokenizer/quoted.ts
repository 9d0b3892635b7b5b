// Text of a file as a message shows it: control characters and those that change the direction of writing are escaped, so
// that a file cannot move a cursor or reorder a line, and what is too long is cut.

/** C0, C1, line and paragraph separators, bidirectional controls, zero-width marks, lone surrogates */
const UNSAFE = /[\p{Cc}\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\p{Surrogate}]/gu
const LENGTH = 80

/** `text` between quotes, safe to print. */
export const quoted = (text: string, length = LENGTH): string => `'${printable(text, length)}'`

/** `text` without quotes, safe to print. */
export function printable(text: string, length = LENGTH): string {
  const chars = [...text.slice(0, 2 * length + 2)]
  const shown = chars.slice(0, length).join('')
  const escaped = shown.replace(UNSAFE, (char) => `\\u{${char.codePointAt(0)!.toString(16)}}`)
  return `${escaped}${chars.length > length ? '…' : ''}`
}
