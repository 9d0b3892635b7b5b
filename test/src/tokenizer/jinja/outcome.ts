// What a template comes to, here and as jinja2's oracle (scripts/jinja-oracle.py) says it: text or an exception.
import { TemplateError, TooDeep, TooLarge } from '../../../../src/tokenizer/jinja/errors.ts'
import { Refusal } from '../../../../src/tokenizer/jinja/globals.ts'
import { renderTemplate } from '../../../../src/tokenizer/jinja/render.ts'

export type Outcome =
  | { readonly text: string }
  /** line: of the template, where Python tells one */
  | { readonly error: readonly [type: string, message: string, line: number | null] }

export interface Job {
  readonly template: string
  readonly variables?: Readonly<Record<string, unknown>>
}

/** the time that the oracle shows, too */
const NOW = new Date(2024, 6, 5, 3, 4, 5)

export function outcomeOf({ template, variables = {} }: Job): Outcome {
  try {
    return { text: renderTemplate(template, variables, { now: NOW }) }
  } catch (error) {
    if (error instanceof TemplateError) return { error: [error.type, error.message, error.line ?? null] }
    if (error instanceof Refusal) return { error: ['TemplateError', error.message, error.line ?? null] }
    if (error instanceof TooLarge) return { error: ['OverflowError', error.message, error.line ?? null] }
    if (error instanceof TooDeep) return { error: ['RecursionError', '', error.line ?? null] }
    throw error
  }
}

/** Exceptions of jinja2, whose messages users see as they are. */
const OF_JINJA = /^(UndefinedError|SecurityError|Template\w*Error|FilterArgumentError)$/

/** Equal text; or equal exceptions, with equal messages and lines where they are jinja2's own. */
export function agree({ template }: Job, ours: Outcome, right: Outcome): boolean {
  if ('text' in ours || 'text' in right) return 'text' in ours && 'text' in right && ours.text === right.text
  const [type, message, line] = ours.error
  const [rightType, rightMessage, rightLine] = right.error
  if (type !== rightType && !(LIMITS.includes(type) && LIMITS.includes(rightType))) return false
  if (!OF_JINJA.test(type)) return true
  // jinja2 keeps no line of the values of `with`, nor of where it checks a namespace: it names an earlier one.
  const source = template.split(/\r\n|\r|\n/)[(line ?? 0) - 1] ?? ''
  const withoutLine = source.includes('with ') || message.startsWith('cannot assign attribute')
  return message === rightMessage && (rightLine === null || line === rightLine || withoutLine)
}

/** A template that asks for too much ends in one or another of these. */
const LIMITS = ['OverflowError', 'MemoryError', 'RecursionError']
