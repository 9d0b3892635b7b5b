// Wraps a line of text as Python's textwrap does, for the filter wordwrap.
import { valueError } from './errors.ts'
import { codePoints, lengthOf } from './text.ts'

const SPACE = '[\\t\\n\\v\\f\\r ]'
const WORD = String.raw`[\p{L}\p{N}_!"'&.,?]`
const LETTER = String.raw`[\p{L}\p{M}\p{Pc}]`
/** pieces between which a line may break, with breaks after hyphens */
const HYPHENATED = new RegExp(
  `(${SPACE}+|(?<=${WORD})-{2,}(?=[\\p{L}\\p{N}_])|[^\\t\\n\\v\\f\\r ]+?(?:-(?:(?<=${LETTER}{2}-)|(?<=${LETTER}-${LETTER}-))(?=${LETTER}-?${LETTER})|(?=${SPACE}|$)|(?<=${WORD})(?=-{2,}[\\p{L}\\p{N}_])))`,
  'u',
)
const WHOLE_WORDS = new RegExp(`(${SPACE}+)`)

interface WrapOptions {
  readonly width: number
  readonly breakLongWords: boolean
  readonly breakOnHyphens: boolean
}

export function wrapLine(text: string, { width, breakLongWords, breakOnHyphens }: WrapOptions): string[] {
  if (width <= 0) return valueError(`invalid width ${width} (must be > 0)`)
  const chunks = text
    .split(breakOnHyphens ? HYPHENATED : WHOLE_WORDS)
    .filter((chunk) => chunk !== undefined && chunk !== '')
    .reverse()
  const blank = (chunk: string | undefined) => chunk !== undefined && chunk.trim() === ''
  const lines: string[] = []
  while (chunks.length > 0) {
    const line: string[] = []
    let length = 0
    if (blank(chunks.at(-1)) && lines.length > 0) chunks.pop()
    while (chunks.length > 0 && length + lengthOf(chunks.at(-1)!) <= width) {
      const chunk = chunks.pop()!
      line.push(chunk)
      length += lengthOf(chunk)
    }
    const next = chunks.at(-1)
    if (next !== undefined && lengthOf(next) > width) {
      const room = width - length
      if (breakLongWords) {
        let end = room
        if (breakOnHyphens && lengthOf(next) > room) {
          const hyphen = codePoints(next).slice(0, room).lastIndexOf('-')
          if (hyphen > 0 && /[^-]/.test(next.slice(0, hyphen))) end = hyphen + 1
        }
        const points = codePoints(next)
        line.push(points.slice(0, end).join(''))
        chunks[chunks.length - 1] = points.slice(end).join('')
      } else if (line.length === 0) line.push(chunks.pop()!)
    }
    if (blank(line.at(-1))) line.pop()
    if (line.length > 0) lines.push(line.join(''))
  }
  return lines
}
