// Rows of text in columns, for commands that list things. What is written may come from files: hidden characters are escaped.
import { cut, visible, visibleLines } from '../../ir/visible-text.ts'

/** Columns as wide as their widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const numeric = head.map(
    (_, c) => rows.length > 0 && rows.every((row) => typeof row[c] === 'number' || row[c] === ''),
  )
  const lines = [head, ...rows].map((row) => row.map((cell) => cut(visible(String(cell)), 300)))
  const widths = head.map((_, c) => Math.max(...lines.map((row) => row[c]!.length)))
  return lines
    .map((row) =>
      row
        .map((cell, c) => (numeric[c] ? cell.padStart(widths[c]!) : cell.padEnd(widths[c]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

const units = ['B', 'KiB', 'MiB', 'GiB'] as const

/** `1.5 MiB` */
export function bytesText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${power === 0 ? bytes : (bytes / 1024 ** power).toFixed(1)} ${units[power]}`
}

export const writeLine = (text: string): void => {
  process.stdout.write(`${visibleLines(text)}\n`)
}

/**
 * JSON for scripts. Numbers that are not whole keep six significant digits: times and rates are no more exact than that.
 */
export const jsonText = (value: unknown, indent?: number): string =>
  JSON.stringify(
    value,
    (_, one) => (typeof one === 'number' && !Number.isInteger(one) ? Number(one.toPrecision(6)) : one),
    indent,
  )

/** One object, for scripts and people. */
export const writeJson = (value: unknown): void => writeLine(jsonText(value, 2))
