// Python's pprint.pformat with a width of 80, for the filter pprint.
import { compares } from './compare.ts'
import { TemplateError } from './errors.ts'
import { repr, reprText } from './repr.ts'
import { lengthOf, splitLines } from './text.ts'
import { Dict, isList, Tuple, typeName, type Value } from './values.ts'

const WIDTH = 80

export const prettyPrint = (value: Value): string => print(value, 0, 0, 1)

/** `indent`: columns before the value; `allowance`: columns that must stay free behind it. */
function print(value: Value, indent: number, allowance: number, level: number): string {
  const flat = flatten(value)
  if (lengthOf(flat) <= WIDTH - indent - allowance) return flat
  if (value instanceof Dict && value.size > 0) {
    return `{${joinLines(sortedEntries(value), indent + 1, allowance + 1, ([key, item], free) => {
      const name = flatten(key)
      return `${name}: ${print(item, indent + 1 + lengthOf(name) + 2, free, level + 1)}`
    })}}`
  }
  if (isList(value)) return `[${printItems(value, indent + 1, allowance + 1, level)}]`
  if (value instanceof Tuple && value.fields.length === 0) {
    const close = value.items.length === 1 ? ',)' : ')'
    return `(${printItems(value.items, indent + 1, allowance + close.length, level)}${close}`
  }
  return typeof value === 'string' ? printText(value, indent, allowance, level) : flat
}

const printItems = (items: readonly Value[], indent: number, allowance: number, level: number) =>
  joinLines(items, indent, allowance, (item, free) => print(item, indent, free, level + 1))

/** Items on lines of their own; behind all but the last one comes a comma. */
const joinLines = <T>(
  items: readonly T[],
  indent: number,
  allowance: number,
  show: (item: T, free: number) => string,
) => items.map((item, at) => show(item, at === items.length - 1 ? allowance : 1)).join(`,\n${' '.repeat(indent)}`)

/** As repr, with the keys of dicts in order. */
function flatten(value: Value): string {
  if (value instanceof Dict)
    return `{${sortedEntries(value)
      .map(([key, item]) => `${flatten(key)}: ${flatten(item)}`)
      .join(', ')}}`
  if (isList(value)) return `[${value.map(flatten).join(', ')}]`
  if (value instanceof Tuple) return `(${value.items.map(flatten).join(', ')}${value.items.length === 1 ? ',' : ''})`
  return repr(value)
}

function sortedEntries(dict: Dict): readonly (readonly [Value, Value])[] {
  const safe = (a: Value, b: Value) => {
    try {
      return compares(a, '<', b)
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error
      return typeName(a) < typeName(b)
    }
  }
  return dict.entries().sort(([a], [b]) => (safe(a, b) ? -1 : safe(b, a) ? 1 : 0))
}

function printText(text: string, indentGiven: number, allowanceGiven: number, level: number): string {
  const [indent, allowance] = level === 1 ? [indentGiven + 1, allowanceGiven + 1] : [indentGiven, allowanceGiven]
  const lines = splitLines(text, true)
  const chunks: string[] = []
  const free = WIDTH - indent
  lines.forEach((line, at) => {
    const last = at === lines.length - 1
    const shown = reprText(line)
    if (lengthOf(shown) <= (last ? free - allowance : free)) {
      chunks.push(shown)
      return
    }
    const parts = line.match(/\S*\s*/g)!.filter((part, index, all) => part !== '' || index < all.length - 1)
    let current = ''
    parts.forEach((part, index) => {
      const candidate = current + part
      const room = index === parts.length - 1 && last ? free - allowance : free
      if (lengthOf(reprText(candidate)) > room) {
        if (current !== '') chunks.push(reprText(current))
        current = part
      } else current = candidate
    })
    if (current !== '') chunks.push(reprText(current))
  })
  if (chunks.length === 1) return chunks[0]!
  const joined = chunks.join(`\n${' '.repeat(indent)}`)
  return level === 1 ? `(${joined})` : joined
}
