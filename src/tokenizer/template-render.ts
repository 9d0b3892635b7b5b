// Renders a chat template, inside the child process: the jinja package's interpreter with globals of our own, bounded where
// the package's are not.
import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja'
import { JINJA_OPTIONS, lineOfSyntaxError } from './template-syntax.ts'

/** characters a template may produce: 4 MB */
export const MAX_OUTPUT = 4 * 2 ** 20
/** numbers that one range() may list */
const MAX_RANGE = 1_000_000
/** nested expressions, statements and calls */
const MAX_DEPTH = 500

export interface RenderJob {
  readonly template: string
  readonly variables: Readonly<Record<string, unknown>>
  /** milliseconds since 1970, for strftime_now */
  readonly now: number
  readonly timeoutMs: number
}

export type RenderResult =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'syntax'; readonly message: string; readonly line: number | undefined }
  | { readonly kind: 'raised'; readonly message: string }
  | { readonly kind: 'too-large'; readonly message: string }
  | { readonly kind: 'too-deep' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failed'; readonly message: string }

/** The template called raise_exception. */
class Raised extends Error {}
/** The template asked for more than it may have. */
class TooLarge extends Error {}
/** Expressions and statements nest too deeply, or a macro calls itself. */
class TooDeep extends Error {}

/** Counts its depth: where the stack ends by itself, the package takes that for an unknown variable. */
class BoundedInterpreter extends Interpreter {
  #depth = 0

  override evaluate(...args: Parameters<Interpreter['evaluate']>): ReturnType<Interpreter['evaluate']> {
    if (++this.#depth > MAX_DEPTH) throw new TooDeep()
    try {
      return super.evaluate(...args)
    } finally {
      this.#depth--
    }
  }
}

export function renderJob({ template, variables, now }: RenderJob): RenderResult {
  let program: ReturnType<typeof parse>
  try {
    program = parse(tokenize(template, JINJA_OPTIONS))
  } catch (error) {
    if (isStackOverflow(error)) return { kind: 'too-deep' }
    return { kind: 'syntax', message: plainMessage(error), line: lineOfSyntaxError(template) }
  }
  try {
    const result = new BoundedInterpreter(environment(variables, now)).run(program) as { value: unknown }
    const text = String(result.value)
    if (text.length > MAX_OUTPUT) throw new TooLarge(`${text.length} characters`)
    return { kind: 'text', text }
  } catch (error) {
    if (error instanceof Raised) return { kind: 'raised', message: error.message }
    if (error instanceof TooLarge) return { kind: 'too-large', message: error.message }
    if (error instanceof TooDeep || isStackOverflow(error)) return { kind: 'too-deep' }
    if (error instanceof RangeError && /string length|array length|repeat/i.test(error.message)) {
      return { kind: 'too-large', message: error.message }
    }
    return { kind: 'failed', message: plainMessage(error) }
  }
}

function environment(variables: Readonly<Record<string, unknown>>, now: number): Environment {
  const scope = new Environment()
  for (const [name, value] of [
    ['true', true],
    ['false', false],
    ['none', null],
  ] as const) {
    scope.set(name, value)
    scope.set(name[0]!.toUpperCase() + name.slice(1), value)
  }
  scope.set('raise_exception', (message: unknown) => {
    throw new Raised(String(message))
  })
  scope.set('range', range)
  scope.set('strftime_now', (format: unknown) => formatTime(new Date(now), String(format)))
  for (const [name, value] of Object.entries(variables)) if (!scope.variables.has(name)) scope.set(name, value)
  return scope
}

function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second]
  const count = Math.max(0, Math.ceil((stop - start) / step))
  if (!(step !== 0 && Number.isFinite(count))) throw new Error('range() needs numbers and a step other than 0')
  if (count > MAX_RANGE) throw new TooLarge(`range() of ${count} numbers, at most ${MAX_RANGE}`)
  return Array.from({ length: count }, (_, index) => start + index * step)
}

/** Python's strftime in the C locale, in local time: the directives that templates use. */
function formatTime(date: Date, format: string): string {
  const two = (value: number) => String(value).padStart(2, '0')
  const name = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat('en-US', options).format(date)
  const directives: Record<string, () => string> = {
    Y: () => String(date.getFullYear()),
    y: () => two(date.getFullYear() % 100),
    m: () => two(date.getMonth() + 1),
    d: () => two(date.getDate()),
    H: () => two(date.getHours()),
    I: () => two(date.getHours() % 12 || 12),
    M: () => two(date.getMinutes()),
    S: () => two(date.getSeconds()),
    p: () => (date.getHours() < 12 ? 'AM' : 'PM'),
    B: () => name({ month: 'long' }),
    b: () => name({ month: 'short' }),
    A: () => name({ weekday: 'long' }),
    a: () => name({ weekday: 'short' }),
    '%': () => '%',
  }
  return format.replace(/%([a-zA-Z%])/g, (text, letter: string) => directives[letter]?.() ?? text)
}

const isStackOverflow = (error: unknown) => error instanceof RangeError && /call stack/.test(error.message)

/** The package throws plain errors, and a TypeError of its own where it runs off the end of a template. */
function plainMessage(error: unknown): string {
  if (error instanceof TypeError) return 'the template ends too early'
  const text = error instanceof Error ? error.message : String(error)
  return text.replace(/^Parser Error: /, '').slice(0, 500)
}
