// tokenizer.json as it stands: JSON whose parts are steps with a `type`. Each reader takes the fields of its step from here,
// so that a wrong one is named with its place and the file.
import { readFileSync } from 'node:fs'
import { fail } from '../../../ir/diagnostic.ts'
import { quoted } from '../../../ir/visible-text.ts'
import { compilePattern, literalMatcher, type Matcher } from '../pattern/matcher.ts'

/** the file that is being read, for messages: reading is synchronous */
let reading = ''

/** Says of every Diagnostic that `read` throws which file it is about. */
export function about<T>(path: string, read: () => T): T {
  const before = reading
  reading = path
  try {
    return read()
  } finally {
    reading = before
  }
}

const DAMAGED = 'the file is damaged or of another format: get it again'

/** The file says what cannot be. `place` is the path of the field. */
export function badField(place: string, what: string, help = DAMAGED): never {
  return fail({ code: 'bad-tokenizer', message: `${place} ${what}`, facts: [['at', reading]], help })
}

/** Two places of the file say different things. */
export const contradiction = (place: string, what: string): never =>
  badField(place, what, 'the file contradicts itself: get it again, or the one it was converted from')

export function unknownStep(place: string, type: string, what: string, known: string): never {
  return fail({
    code: 'unsupported-tokenizer',
    message: `tokenizer with ${what} ${quoted(type)} is not supported`,
    facts: [
      ['at', reading],
      ['field', place],
      ['known', known],
    ],
    help: 'load the model from a GGUF file, or update ROCmForge',
  })
}

type Json = Readonly<Record<string, unknown>>
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)

const typeName = (value: unknown): string => {
  if (typeof value === 'string') return 'a text'
  if (Array.isArray(value)) return 'a list'
  return isObject(value) ? 'an object' : String(value)
}

/** Reads a JSON file whose top is an object. */
export function readJsonFile(path: string): Json {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return fail({
      code: 'bad-tokenizer',
      message: `cannot read ${path}`,
      facts: [['reason', quoted(reason, 160).slice(1, -1)]],
      help: DAMAGED,
    })
  }
  return isObject(json) ? json : badField('the file', `is ${typeName(json)}, not an object`)
}

/** Reads fields of an object by name; each method says what it wanted where that is not there. */
export class Fields {
  readonly #json: Json
  readonly #place: string

  constructor(json: unknown, place: string) {
    if (!isObject(json)) badField(place, `is ${typeName(json)}, not an object`)
    this.#json = json
    this.#place = place
  }

  has = (name: string) => this.#json[name] !== undefined && this.#json[name] !== null
  raw = (name: string): unknown => this.#json[name] ?? undefined

  #take<T>(name: string, wanted: string, is: (value: unknown) => value is T, otherwise?: T): T {
    const value = this.raw(name)
    if (value === undefined && otherwise !== undefined) return otherwise
    const place = this.#place ? `${this.#place}.${name}` : name
    if (value === undefined) return badField(place, 'is missing')
    return is(value) ? value : badField(place, `is ${typeName(value)}, not ${wanted}`)
  }

  text = (name: string, otherwise?: string) =>
    this.#take(name, 'a text', (value) => typeof value === 'string', otherwise)
  flag = (name: string, otherwise?: boolean) =>
    this.#take(name, 'true or false', (value) => typeof value === 'boolean', otherwise)
  count = (name: string, otherwise?: number) =>
    this.#take(
      name,
      'a whole number',
      (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0,
      otherwise,
    )
  list = (name: string, otherwise?: readonly unknown[]) =>
    this.#take(name, 'a list', (value): value is readonly unknown[] => Array.isArray(value), otherwise)
  object = (name: string, otherwise?: Json) => this.#take(name, 'an object', isObject, otherwise)
  character = (name: string, otherwise?: string) =>
    this.#take(
      name,
      'one character',
      (value): value is string => typeof value === 'string' && [...value].length === 1,
      otherwise,
    )

  choice<const T extends string, D extends T | undefined>(name: string, known: readonly T[], otherwise: D): T | D {
    if (!this.has(name)) return otherwise
    const value = this.text(name)
    return (
      known.find((one) => one === value) ??
      badField(`${this.#place}.${name}`, `is ${quoted(value)}, not ${known.join(', ')}`)
    )
  }
}

/** One step of a part, such as a normalizer. */
export interface Step {
  readonly type: string
  /** path in the file: `pre_tokenizer.pretokenizers[1]` */
  readonly place: string
  readonly field: Fields
}

/** A part of the file: its one step, or null. */
export interface FilePart {
  readonly place: string
  readonly step: Step | null
}

export function partOf(file: Fields, name: string): FilePart {
  return { place: name, step: file.has(name) ? stepOf(file.raw(name), name) : null }
}

function stepOf(json: unknown, place: string): Step {
  const field = new Fields(json, place)
  return { type: field.text('type'), place, field }
}

/** The steps of a part, those of a Sequence one by one. */
export function stepsOf({ step }: FilePart, key: string): Step[] {
  const flatten = (one: Step, depth: number): Step[] => {
    if (one.type !== 'Sequence') return [one]
    if (depth > 16) badField(one.place, 'nests too deeply')
    return one.field.list(key).flatMap((inner, at) => flatten(stepOf(inner, `${one.place}.${key}[${at}]`), depth + 1))
  }
  return step ? flatten(step, 0) : []
}

/** `pattern` of a Split or Replace: `{ String }` as it stands, or `{ Regex }`. */
export function matcherOf({ field, place }: Step): Matcher {
  const pattern = new Fields(field.object('pattern'), `${place}.pattern`)
  if (pattern.has('String')) return literalMatcher(pattern.text('String'))
  return compilePattern(pattern.text('Regex'), `${place}.pattern.Regex of ${reading}`)
}
