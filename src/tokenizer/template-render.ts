// Renders a chat template, inside the child process, and says what came of it as data.
import { TemplateError, TooDeep, TooLarge } from './jinja/errors.ts'
import { Refusal } from './jinja/globals.ts'
import { renderTemplate } from './jinja/render.ts'

/** characters a template may produce: 4 MB */
export const MAX_OUTPUT = 4 * 2 ** 20

export interface RenderJob {
  readonly template: string
  readonly variables: Readonly<Record<string, unknown>>
  /** milliseconds since 1970, for strftime_now */
  readonly now: number
  readonly timeoutMs: number
}

/** Lines are those of the template, from 1. */
export type RenderResult =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'syntax'; readonly message: string; readonly line: number | undefined }
  | { readonly kind: 'raised'; readonly message: string }
  | { readonly kind: 'too-large'; readonly message: string; readonly line: number | undefined }
  | { readonly kind: 'too-deep' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'failed'; readonly message: string; readonly line: number | undefined }

/** Exceptions that jinja2 raises before it renders. */
const SYNTAX = ['TemplateSyntaxError', 'TemplateAssertionError', 'SyntaxError']
/** Exceptions of jinja2 while it renders: their messages say all. */
const OWN = ['UndefinedError', 'SecurityError', 'TemplateRuntimeError', 'FilterArgumentError']

export function renderJob({ template, variables, now }: RenderJob): RenderResult {
  try {
    return { kind: 'text', text: renderTemplate(template, variables, { now: new Date(now), maxOutput: MAX_OUTPUT }) }
  } catch (error) {
    if (error instanceof Refusal) return { kind: 'raised', message: error.message }
    if (error instanceof TooDeep) return { kind: 'too-deep' }
    if (error instanceof TooLarge) return { kind: 'too-large', message: error.message, line: error.line }
    if (error instanceof RangeError && /string length|array length|repeat|BigInt/i.test(error.message)) {
      return { kind: 'too-large', message: error.message, line: undefined }
    }
    if (!(error instanceof TemplateError)) throw error
    const { type, line, message } = error
    if (SYNTAX.includes(type)) return { kind: 'syntax', message, line }
    return { kind: 'failed', message: OWN.includes(type) ? message : `${type}: ${message}`, line }
  }
}
