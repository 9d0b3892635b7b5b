// What flags take: numbers in a range, one of some words, paths. A refusal names the flag, what it takes and what it got.
import { fail } from '../../ir/diagnostic.ts'
import { editDistance, nearest } from '../../ir/near-match.ts'
import { expandHome } from '../../runtime/cache/root.ts'

/** The numbers that a flag takes; the bounds belong to it, but for `above`. */
export interface Range {
  readonly whole?: boolean
  readonly min?: number
  readonly above?: number
  readonly max?: number
  /** what a number outside of the range means */
  readonly also?: Readonly<Record<string, string>>
}

/** `a whole number from 1 to 32; or -1: all` */
export function describeRange({ whole, min, above, max, also = {} }: Range): string {
  const bounds = [
    ...(above === undefined ? [] : [`above ${above}`]),
    ...(min === undefined ? [] : [max === undefined ? `from ${min} up` : `from ${min}`]),
    ...(max === undefined ? [] : [above === undefined ? `to ${max}` : `and at most ${max}`]),
  ]
  const others = Object.entries(also).map(([value, meaning]) => `; or ${value}: ${meaning}`)
  return [`a ${whole ? 'whole ' : ''}number`, ...bounds].join(' ') + others.join('')
}

function refuse(flag: string, takes: string, got: string, hint?: string): never {
  return fail({
    code: 'bad-option',
    message: `${flag} takes ${takes}`,
    facts: [['got', got === '' ? 'nothing' : got.slice(0, 80)]],
    ...(hint ? { help: hint } : {}),
  })
}

const isNumber = (text: string): boolean => /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i.test(text.trim())

function readNumber(flag: string, range: Range, text: string): number {
  const value = isNumber(text) ? Number(text) : Number.NaN
  if (Object.hasOwn(range.also ?? {}, text.trim())) return value
  const { whole = false, min = Number.NEGATIVE_INFINITY, above = Number.NEGATIVE_INFINITY, max = Infinity } = range
  if (
    Number.isFinite(value) &&
    value >= min &&
    value > above &&
    value <= max &&
    (!whole || Number.isSafeInteger(value))
  )
    return value
  const dotted = text.trim().replace(',', '.')
  const thousand = /^(\d+)k$/i.exec(text.trim())?.[1]
  const meant = isNumber(dotted) ? dotted : thousand && whole ? String(Number(thousand) * 1024) : undefined
  return refuse(
    flag,
    describeRange(range),
    text,
    meant === undefined || isNumber(text) ? undefined : `did you mean ${meant}?`,
  )
}

export const number =
  (flag: string, range: Range) =>
  (text: string): number =>
    readNumber(flag, range, text)

/** Several, separated by commas. */
export const numbers =
  (flag: string, range: Range) =>
  (text: string): number[] =>
    text.split(',').map((one) => readNumber(flag, range, one))

/** `42=-5`, several times. */
export const bias =
  (flag: string, id: Range, value: Range) =>
  (text: string, previous: Record<string, number> = {}): Record<string, number> => {
    const [left = '', right, ...rest] = text.split(/[=:]/)
    if (right === undefined || rest.length > 0) return refuse(flag, 'ID=VALUE, such as 42=-5', text)
    return { ...previous, [readNumber(`the token id of ${flag}`, id, left)]: readNumber(flag, value, right) }
  }

/** One of some words; `spoken`: other words for them. */
export const choice =
  (flag: string, words: readonly string[], spoken: Readonly<Record<string, string>> = {}) =>
  (text: string): string => {
    const plain = text.toLowerCase()
    const found = words.find((word) => word === plain) ?? (Object.hasOwn(spoken, plain) ? spoken[plain] : undefined)
    if (found !== undefined) return found
    const [near = ''] = nearest(plain, words, 1)
    const isNear = plain.length > 1 && editDistance(plain, near) <= 2
    return refuse(flag, `one of ${words.join(', ')}`, text, isNear ? `did you mean ${near}?` : undefined)
  }

/** What other programs call the types of numbers. */
export const dtypeWords: Readonly<Record<string, string>> = {
  fp32: 'f32',
  float32: 'f32',
  float: 'f32',
  fp16: 'f16',
  float16: 'f16',
  half: 'f16',
  bfloat16: 'bf16',
  fp8: 'f8',
  fp8_e4m3: 'f8',
  float8: 'f8',
  q8: 'q8_0',
  int8: 'q8_0',
}

/** A path, whose `~` no shell expanded behind `=` or in quotes. */
export const path = (text: string): string => expandHome(text)

export const list = (text: string, previous: string[] = []): string[] => [...previous, text]
