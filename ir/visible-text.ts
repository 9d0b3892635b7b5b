// Text that comes from files, shown on a terminal or in a log: what would move the cursor, change colours, turn the direction of
// writing or be seen by nobody is written as its escape, and what is too long is cut.

/**
 * Controls (C0, DEL, C1), what has no form of its own (marks and overrides of direction, zero-width characters, soft hyphens,
 * tags), separators of lines and paragraphs, halves of surrogate pairs, fillers that look like a space.
 */
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u115f\u1160\u3164\uffa0]/gu

const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** An escape that JSON understands too, so that JSON may be shown by the same rule. */
const escaped = (char: string): string =>
  short[char] ??
  Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join('')

/** The text with hidden characters escaped, on one line. */
export const visible = (text: string): string => text.replace(hidden, escaped)

/** The same for text that may have several lines and tabs. */
export const visibleLines = (text: string): string =>
  text.replace(hidden, (char) => (char === '\n' || char === '\t' ? char : escaped(char)))

/** The first `most` characters, and how many there were if that is not all. */
export function cut(text: string, most: number): string {
  if (text.length <= most) return text
  const end = /[\ud800-\udbff]/.test(text[most - 1]!) ? most - 1 : most // no half of a pair
  return `${text.slice(0, end)}… (${text.length} characters)`
}

const longestName = 80

/** A name or piece of a file's text for a message: on one line, escaped, cut. */
export function printable(text: string, most = longestName): string {
  const chars = [...text.slice(0, 2 * most + 2)] // whole characters
  return visible(chars.length > most ? `${chars.slice(0, most).join('')}…` : chars.join(''))
}

/** The same between quotes. */
export const quoted = (text: string, most?: number): string => `'${printable(text, most)}'`
