// What a template can fail with: the exceptions of Python and Jinja by their names, and limits of our own.

/** An exception as jinja2 would raise it. */
export class TemplateError extends Error {
  /** name of the exception's class in Python, e.g. UndefinedError */
  readonly type: string
  /** line of the template, from 1, once known */
  line: number | undefined

  constructor(type: string, message: string, line?: number) {
    super(message)
    this.type = type
    this.line = line
  }
}

/** The template asked for more than it may have. */
export class TooLarge extends Error {
  line: number | undefined
}

/** Expressions and statements nest too deeply, or a macro calls itself. */
export class TooDeep extends Error {
  line: number | undefined
}

export function raise(type: string, message: string, line?: number): never {
  throw new TemplateError(type, message, line)
}

export const typeError = (message: string): never => raise('TypeError', message)
export const valueError = (message: string): never => raise('ValueError', message)
export const syntaxError = (message: string, line: number): never => raise('TemplateSyntaxError', message, line)
