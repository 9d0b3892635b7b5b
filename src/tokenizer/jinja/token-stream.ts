// The tokens of a template, one at a time, and the messages about a wrong one.
import { syntaxError, TooDeep } from './errors.ts'
import type { Token, TokenType } from './lexer.ts'
import { reprText } from './repr.ts'

/** nested expressions and blocks */
const MAX_NESTING = 200

const TYPE_NAMES: Readonly<Partial<Record<TokenType, string>>> = {
  block_begin: 'begin of statement block',
  block_end: 'end of statement block',
  variable_begin: 'begin of print statement',
  variable_end: 'end of print statement',
  data: 'template data / text',
  eof: 'end of template',
}

export class TokenStream {
  readonly #tokens: Iterator<Token>
  #current: Token
  /** looked at ahead of its turn */
  #after: Token | undefined
  #nesting = 0

  constructor(tokens: Iterator<Token>) {
    this.#tokens = tokens
    this.#current = { type: 'eof', text: '', line: 1 }
    this.#current = this.#read()
  }

  #read(): Token {
    const next = this.#tokens.next()
    return next.done ? { type: 'eof', text: '', line: this.#current.line } : next.value
  }

  get current(): Token {
    return this.#current
  }

  get after(): Token {
    this.#after ??= this.#read()
    return this.#after
  }

  get line(): number {
    return this.#current.line
  }

  /** The current token; goes on to the next. */
  next(): Token {
    const token = this.#current
    this.#current = this.#after ?? this.#read()
    this.#after = undefined
    return token
  }

  is(type: TokenType, text?: string): boolean {
    return this.current.type === type && (text === undefined || this.current.text === text)
  }

  isName(...names: readonly string[]): boolean {
    return this.current.type === 'name' && names.includes(this.current.text)
  }

  isOperator(...operators: readonly string[]): boolean {
    return this.current.type === 'operator' && operators.includes(this.current.text)
  }

  skipName(name: string): boolean {
    const found = this.isName(name)
    if (found) this.next()
    return found
  }

  skipOperator(operator: string): boolean {
    const found = this.isOperator(operator)
    if (found) this.next()
    return found
  }

  expect(type: TokenType, text?: string): Token {
    if (this.is(type, text)) return this.next()
    const wanted = reprText(text ?? TYPE_NAMES[type] ?? type)
    if (this.is('eof')) return syntaxError(`unexpected end of template, expected ${wanted}.`, this.line)
    return syntaxError(`expected token ${wanted}, got ${describe(this.current)}`, this.line)
  }

  /** Runs a part of the parser that may run itself. */
  nested<T>(parse: () => T): T {
    if (++this.#nesting > MAX_NESTING) throw new TooDeep()
    const result = parse()
    this.#nesting--
    return result
  }
}

export function describe(token: Token): string {
  if (token.type === 'name' || token.type === 'operator') return reprText(token.text)
  return reprText(TYPE_NAMES[token.type] ?? token.type)
}
