// JSON from files that we did not write. Unlike JSON.parse it sees a key that occurs twice (JSON.parse keeps the last
// in silence), integers that a JavaScript number cannot hold, and nesting too deep.
import { type Fact, fail } from '../../ir/diagnostic.ts'
import type { DiagnosticCode } from '../../ir/diagnostic-codes.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

interface JsonRules {
  /** code of the Diagnostic */
  readonly code: DiagnosticCode
  /** path of the file */
  readonly file: string
  /**
   * `strict` refuses every repeated key and every integer beyond 2^53. `config`, for files that Python tools wrote,
   * takes NaN and Infinity, large integers (rounded) and a key repeated with the same value.
   */
  readonly mode: 'strict' | 'config'
  /** called for each comma behind the last value of an object or a list, which is then passed over; without it: malformed */
  readonly onTrailingComma?: () => void
}

const maxDepth = 64
const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const spacePattern = /[ \t\r\n]*/y
const words: [string, Json][] = [
  ['true', true],
  ['false', false],
  ['null', null],
]
const pythonWords: [string, Json][] = [
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]

/** Parses UTF-8 bytes whose outermost value must be an object. */
export function parseJsonObject(bytes: Uint8Array, rules: JsonRules): JsonObject {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    return fail({ code: rules.code, message: 'the JSON is not valid UTF-8', facts: [['file', rules.file]] }, error)
  }
  const value = parse(text, rules)
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return fail({
      code: rules.code,
      message: 'the JSON must be an object',
      facts: [
        ['file', rules.file],
        ['got', Array.isArray(value) ? 'an array' : value === null ? 'null' : `a ${typeof value}`],
      ],
    })
  }
  return value
}

function parse(text: string, { code, file, mode, onTrailingComma }: JsonRules): Json {
  let at = 0
  const literals = mode === 'config' ? [...words, ...pythonWords] : words

  const refuse = (message: string, ...facts: Fact[]): never =>
    fail({ code, message, facts: [['file', file], ...facts, ['at', `character ${at} of the JSON`]] })
  const malformed = (expected: string): never =>
    refuse(
      'the JSON is malformed',
      ['expected', expected],
      ['got', at < text.length ? JSON.stringify(text.slice(at, at + 20)) : 'the end'],
    )
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const skip = (char: string): boolean => {
    match(spacePattern)
    if (text[at] !== char) return false
    at++
    match(spacePattern)
    return true
  }
  const string = (): string => {
    const start = at
    let escaped = false
    if (text[at] !== '"') malformed('a string')
    for (let code = text.charCodeAt(++at); code !== 34 /* " */; code = text.charCodeAt(++at)) {
      if (!(code >= 32)) malformed('a character of a string') // a control character, or NaN: the end
      if (code !== 92 /* \\ */) continue
      escaped = true
      at++
    }
    at++
    if (!escaped) return text.slice(start + 1, at - 1)
    try {
      return JSON.parse(text.slice(start, at)) as string
    } catch {
      at = start
      return malformed('a string with valid escapes')
    }
  }
  /** Does the list end behind a comma? */
  const endsHere = (close: string): boolean => {
    if (!onTrailingComma || text[at] !== close) return false
    onTrailingComma()
    return true
  }
  const object = (depth: number): JsonObject => {
    const out: JsonObject = Object.create(null)
    if (skip('}')) return out
    do {
      if (endsHere('}')) break
      const start = at
      const key = string()
      if (!skip(':')) malformed('":"')
      const one = value(depth)
      if (Object.hasOwn(out, key) && (mode === 'strict' || JSON.stringify(out[key]) !== JSON.stringify(one))) {
        at = start
        refuse('a key occurs twice', ['key', key])
      }
      out[key] = one
    } while (skip(','))
    return skip('}') ? out : malformed('"," or "}"')
  }
  const array = (depth: number): Json[] => {
    const out: Json[] = []
    if (skip(']')) return out
    do {
      if (endsHere(']')) break
      out.push(value(depth))
    } while (skip(','))
    return skip(']') ? out : malformed('"," or "]"')
  }
  const value = (depth: number): Json => {
    if (depth > maxDepth) refuse(`the JSON nests deeper than ${maxDepth}`)
    if (skip('{')) return object(depth + 1)
    if (skip('[')) return array(depth + 1)
    if (text[at] === '"') return string()
    for (const [word, meaning] of literals) {
      if (text.startsWith(word, at)) {
        at += word.length
        return meaning
      }
    }
    const digits = match(numberPattern)
    if (digits === undefined) return malformed('a value')
    const number = Number(digits)
    if (mode === 'strict' && Math.abs(number) > Number.MAX_SAFE_INTEGER)
      refuse('a number is beyond 2^53', ['got', digits])
    return number
  }
  match(spacePattern)
  const whole = value(0)
  match(spacePattern)
  return at === text.length ? whole : malformed('the end')
}
