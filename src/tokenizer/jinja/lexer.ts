// Template text to tokens, by jinja2's rules with trim_blocks and lstrip_blocks: line ends become LF, one at the end of
// the text goes, `-` strips white space beside a tag, `+` keeps it.
import { syntaxError } from './errors.ts'
import { unescapeString } from './string-literal.ts'
import { strip, WHITE_SPACE } from './text.ts'

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

export function tokenize(template: string): Token[] {
  const lines = template.split(/\r\n|\r|\n/)
  if (lines.at(-1) === '') lines.pop()
  const source = lines.join('\n')
  const tokens: Token[] = []
  let at = 0
  let line = 1
  /** whether what came before ends a line, so that a tag after blanks is alone on its line */
  let lineStarting = true
  const advance = (to: number) => {
    for (let i = source.indexOf('\n', at); i >= 0 && i < to; i = source.indexOf('\n', i + 1)) line++
    lineStarting = source[to - 1] === '\n'
    at = to
  }
  const emitData = (end: number, sign: string, strips: boolean) => {
    let text = source.slice(at, end)
    if (sign === '-') text = strip(text, undefined, 'end')
    else if (sign !== '+' && strips) {
      const start = text.lastIndexOf('\n') + 1
      if ((start > 0 || lineStarting) && strip(text.slice(start)) === '') text = text.slice(0, start)
    }
    if (text !== '') tokens.push({ type: 'data', text, line })
    advance(end)
  }
  const readTag = (kind: 'variable' | 'block') => {
    const endOfTag = kind === 'block' ? BLOCK_END : VARIABLE_END
    const open: string[] = []
    for (;;) {
      const match = (rule: RegExp) => {
        rule.lastIndex = at
        return rule.exec(source)?.[0]
      }
      if (open.length === 0) {
        const end = match(endOfTag)
        if (end !== undefined) {
          tokens.push({ type: `${kind}_end`, text: end, line })
          return advance(at + end.length)
        }
      }
      const space = match(SPACE)
      if (space !== undefined) {
        advance(at + space.length)
        continue
      }
      if (at >= source.length) return
      const token = readToken(match, line)
      if (token === undefined) {
        return syntaxError(`unexpected char ${quoteChar(source, at)} at ${[...source.slice(0, at)].length}`, line)
      }
      if (token.type === 'operator') checkBalance(open, token.text, line)
      tokens.push({
        type: token.type,
        text: token.type === 'string' ? unescapeString(token.text, line) : token.text,
        line,
      })
      advance(at + token.text.length)
    }
  }

  while (at < source.length) {
    BEGIN.lastIndex = at
    const found = BEGIN.exec(source)
    if (found === null) {
      tokens.push({ type: 'data', text: source.slice(at), line })
      advance(source.length)
      break
    }
    const { rawSign, raw, tag, sign } = found.groups as Record<string, string>
    emitData(found.index, (raw === undefined ? sign : rawSign) ?? '', tag !== '{')
    const end = found.index + found[0].length
    if (raw !== undefined) {
      advance(end)
      RAW_END.lastIndex = at
      const close = RAW_END.exec(source)
      if (close === null) {
        if (at < source.length) syntaxError('Missing end of raw directive', line)
        break
      }
      emitData(close.index, close.groups!['sign']!, true)
      advance(close.index + close[0].length)
    } else if (tag === '#') {
      advance(end)
      COMMENT_END.lastIndex = at
      const close = COMMENT_END.exec(source)
      if (close === null) {
        if (at < source.length) syntaxError('Missing end of comment tag', line)
        break
      }
      advance(close.index + close[0].length)
    } else {
      const kind = tag === '%' ? 'block' : 'variable'
      tokens.push({ type: `${kind}_begin`, text: found[0], line })
      advance(end)
      readTag(kind)
    }
  }
  tokens.push({ type: 'eof', text: '', line: tokens.at(-1)?.line ?? 1 })
  return tokens
}

function readToken(match: (rule: RegExp) => string | undefined, line: number) {
  const rules = [
    ['float', FLOAT],
    ['integer', INTEGER],
    ['name', NAME],
    ['string', STRING],
    ['operator', OPERATOR],
  ] as const
  for (const [type, rule] of rules) {
    const text = match(rule)
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

function quoteChar(source: string, at: number): string {
  const char = String.fromCodePoint(source.codePointAt(at)!)
  return char === "'" ? `"'"` : char === '\\' ? "'\\\\'" : `'${char}'`
}
