// Template text to tokens, by jinja2's rules with trim_blocks and lstrip_blocks: line ends become LF, one at the end of
// the text goes, `-` strips white space beside a tag, `+` keeps it.
import { syntaxError } from './errors.ts'
import { reprText } from './repr.ts'
import { unescapeString } from './string-literal.ts'
import { lengthOf, strip, WHITE_SPACE } from './text.ts'

export type TokenType =
  | 'data'
  | 'variable_begin'
  | 'variable_end'
  | 'block_begin'
  | 'block_end'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'eof'

export interface Token {
  readonly type: TokenType
  /** source text; of strings, their contents */
  readonly text: string
  readonly line: number
}

/** a rule in which a blank stands for any white space */
const rule = (source: string, flags: string) => new RegExp(source.replaceAll(' ', `[${WHITE_SPACE}]`), flags)
const BEGIN = rule('\\{%(?<rawSign>[-+]?)(?<raw> *raw *(?:-%\\} *|%\\}))|\\{(?<tag>[%{#])(?<sign>[-+]?)', 'g')
const COMMENT_END = rule('\\+#\\}|-#\\} *|#\\}\\n?', 'g')
const RAW_END = rule('\\{%(?<sign>[-+]?) *endraw *(?:\\+%\\}|-%\\} *|%\\}\\n?)', 'g')
const BLOCK_END = rule('\\+%\\}|-%\\} *|%\\}\\n?', 'y')
const VARIABLE_END = rule('-\\}\\} *|\\}\\}', 'y')
const SPACE = rule(' +', 'y')
const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy
const NAME = /[\p{L}\p{N}\p{M}\p{Pc}·]+/uy
const IDENTIFIER = /^[\p{XID_Start}_]\p{XID_Continue}*$/u
const STRING = /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}><=.:|,;]/y
const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** Tokens one by one, as the parser asks: what is wrong further on is not looked at before it is reached. */
export function tokenize(template: string): Generator<Token> {
  const lines = template.split(/\r\n|\r|\n/)
  if (lines.at(-1) === '') lines.pop()
  return new Lexer(lines.join('\n')).tokens()
}

class Lexer {
  readonly #source: string
  #at = 0
  #line = 1
  /** where the next line ends */
  #lineEnd: number
  /** whether what came before ends a line, so that a tag after blanks is alone on its line */
  #lineStarting = true

  constructor(source: string) {
    this.#source = source
    this.#lineEnd = source.indexOf('\n')
  }

  *tokens(): Generator<Token> {
    while (this.#at < this.#source.length) {
      BEGIN.lastIndex = this.#at
      const found = BEGIN.exec(this.#source)
      if (found === null) {
        yield { type: 'data', text: this.#source.slice(this.#at), line: this.#line }
        this.#advance(this.#source.length)
        break
      }
      const { rawSign, raw, tag, sign } = found.groups as Record<string, string | undefined>
      yield* this.#data(found.index, (raw === undefined ? sign : rawSign)!, tag !== '{')
      const { line } = this
      this.#advance(found.index + found[0].length)
      if (raw !== undefined) {
        const close = this.#search(RAW_END, 'Missing end of raw directive')
        if (close === undefined) break
        yield* this.#data(close.index, close.groups!['sign']!, true)
        this.#advance(close.index + close[0].length)
      } else if (tag === '#') {
        const close = this.#search(COMMENT_END, 'Missing end of comment tag')
        if (close === undefined) break
        this.#advance(close.index + close[0].length)
      } else {
        const kind = tag === '%' ? 'block' : 'variable'
        yield { type: `${kind}_begin`, text: found[0], line }
        yield* this.#tag(kind)
      }
    }
  }

  get line(): number {
    return this.#line
  }

  #advance(to: number): void {
    while (this.#lineEnd >= 0 && this.#lineEnd < to) {
      this.#line++
      this.#lineEnd = this.#source.indexOf('\n', this.#lineEnd + 1)
    }
    this.#lineStarting = this.#source[to - 1] === '\n'
    this.#at = to
  }

  /** The end of a comment or raw block. Without one the rest is an error, but nothing at all is none. */
  #search(pattern: RegExp, message: string): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#source)
    if (found === null && this.#at < this.#source.length) syntaxError(message, this.#line)
    return found ?? undefined
  }

  /** Text up to a tag, whose sign says which white space before it goes; `strips`: blanks alone before it on its line do. */
  *#data(end: number, sign: string, strips: boolean): Generator<Token> {
    let text = this.#source.slice(this.#at, end)
    if (sign === '-') text = strip(text, undefined, 'end')
    else if (sign !== '+' && strips) {
      const start = text.lastIndexOf('\n') + 1
      if ((start > 0 || this.#lineStarting) && strip(text.slice(start)) === '') text = text.slice(0, start)
    }
    if (text !== '') yield { type: 'data', text, line: this.#line }
    this.#advance(end)
  }

  *#tag(kind: 'variable' | 'block'): Generator<Token> {
    const endOfTag = kind === 'block' ? BLOCK_END : VARIABLE_END
    /** closing brackets that are due */
    const open: string[] = []
    const match = (pattern: RegExp) => {
      pattern.lastIndex = this.#at
      return pattern.exec(this.#source)?.[0]
    }
    for (;;) {
      const end = open.length === 0 ? match(endOfTag) : undefined
      const line = this.#line
      if (end !== undefined) {
        this.#advance(this.#at + end.length)
        yield { type: `${kind}_end`, text: end, line }
        return
      }
      const space = match(SPACE)
      if (space !== undefined) this.#advance(this.#at + space.length)
      else if (this.#at >= this.#source.length) return
      else {
        const token = readToken(match, this.#source.charCodeAt(this.#at), line)
        if (token === undefined) return this.#unexpected()
        if (token.type === 'operator') checkBalance(open, token.text, line)
        this.#advance(this.#at + token.text.length)
        yield { ...token, text: token.type === 'string' ? unescapeString(token.text, line) : token.text, line }
      }
    }
  }

  #unexpected(): never {
    const char = String.fromCodePoint(this.#source.codePointAt(this.#at)!)
    return syntaxError(`unexpected char ${reprText(char)} at ${lengthOf(this.#source.slice(0, this.#at))}`, this.#line)
  }
}

const ANY = [
  ['float', FLOAT],
  ['integer', INTEGER],
  ['name', NAME],
  ['string', STRING],
  ['operator', OPERATOR],
] as const
const NUMBERS = ANY.slice(0, 2)
const NAMES = ANY.slice(2, 3)
const STRINGS = ANY.slice(3, 4)
const OPERATORS = ANY.slice(4)

/** The rules that can match a token, by its first character. */
function rulesFor(code: number) {
  if ((code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95) return NAMES
  if (code >= 48 && code <= 57) return NUMBERS
  if (code === 34 || code === 39) return STRINGS
  return code < 128 ? OPERATORS : ANY
}

function readToken(match: (pattern: RegExp) => string | undefined, code: number, line: number) {
  for (const [type, pattern] of rulesFor(code)) {
    const text = match(pattern)
    if (text === undefined) continue
    if (type === 'name' && !IDENTIFIER.test(text)) syntaxError('Invalid character in identifier', line)
    return { type, text }
  }
  return undefined
}

function checkBalance(open: string[], text: string, line: number): void {
  const closing = CLOSING[text]
  if (closing !== undefined) open.push(closing)
  else if (text === ')' || text === ']' || text === '}') {
    const expected = open.pop()
    if (expected === undefined) syntaxError(`unexpected '${text}'`, line)
    if (expected !== text) syntaxError(`unexpected '${text}', expected '${expected}'`, line)
  }
}
