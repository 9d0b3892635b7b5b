// What a pattern of a tokenizer file means, and reading one. Such files are written for Oniguruma with Ruby's syntax, which
// differs from JavaScript's: `\h` is a hex digit, `^` and `$` stand at lines, `{n}+` repeats a repetition, `(?i)` holds to the
// end of its group, `\w` and `[[:alpha:]]` go by Unicode properties, classes nest and intersect.
// Source: Oniguruma's doc/RE. What cannot be carried over is refused, because a guess would give other tokens silently.
import { fail } from '../../../ir/diagnostic.ts'
import { quoted } from '../../../ir/visible-text.ts'
import { foldSet, hexOf, propertySet, sets } from './character-set.ts'

export type Pattern =
  /** one code point: a character class of JavaScript's `v` mode */
  | { readonly kind: 'set'; readonly source: string }
  | { readonly kind: 'sequence'; readonly items: readonly Pattern[] }
  /** the first option that lets the rest match */
  | { readonly kind: 'choice'; readonly options: readonly Pattern[] }
  | {
      readonly kind: 'repeat'
      readonly item: Pattern
      readonly min: number
      /** Infinity: without bound */
      readonly max: number
      readonly mode: 'greedy' | 'lazy'
    }
  /** matches as its item would alone, and is never tried again otherwise */
  | { readonly kind: 'atomic'; readonly item: Pattern }
  | { readonly kind: 'look'; readonly behind: boolean; readonly negative: boolean; readonly item: Pattern }
  | { readonly kind: 'edge'; readonly at: Edge }

export type Edge = 'text-start' | 'text-end' | 'last-line-end' | 'line-start' | 'line-end' | 'word' | 'not-word'

interface Options {
  readonly ignoreCase: boolean
  readonly dotAll: boolean
  readonly extended: boolean
}

/** `(?i:…)` and repetitions make copies: a pattern may not become larger than this */
const MAX_DEPTH = 200

/** Reads an Oniguruma pattern; `at` tells where it stands, for the Diagnostic. */
export function parsePattern(source: string, at: string): Pattern {
  return new Parser(source, at).whole()
}

/** One set where every option is one, so that a loop over it is a loop over characters. */
function choiceOf(options: readonly Pattern[]): Pattern {
  if (options.length === 1) return options[0]!
  const sources = options.flatMap((option) => (option.kind === 'set' ? [option.source] : []))
  if (sources.length === options.length) return { kind: 'set', source: `[${sources.join('')}]` }
  return { kind: 'choice', options }
}

class Parser {
  readonly #chars: readonly string[]
  readonly #source: string
  readonly #place: string
  #at = 0
  #depth = 0

  constructor(source: string, place: string) {
    this.#source = source
    this.#chars = [...source]
    this.#place = place
  }

  whole(): Pattern {
    const pattern = this.#choice({ ignoreCase: false, dotAll: false, extended: false })
    if (this.#at < this.#chars.length) this.#refuse("has a ')' too many")
    return pattern
  }

  #refuse(what: string): never {
    return fail({
      code: 'unsupported-pattern',
      message: `a pattern of the tokenizer ${what}`,
      facts: [
        ['at', this.#place],
        ['pattern', quoted(this.#source)],
      ],
      help: 'the pattern cannot be carried over to this program: load the model from a GGUF file',
    })
  }

  get #next(): string | undefined {
    return this.#chars[this.#at]
  }

  #take(text: string): boolean {
    const length = [...text].length
    if (this.#chars.slice(this.#at, this.#at + length).join('') !== text) return false
    this.#at += length
    return true
  }

  #choice(options: Options): Pattern {
    if (++this.#depth > MAX_DEPTH) this.#refuse('nests too deeply')
    const found: Pattern[] = [this.#sequence(options)]
    while (this.#take('|')) found.push(this.#sequence(options))
    this.#depth--
    return choiceOf(found)
  }

  #sequence(options: Options): Pattern {
    const items: Pattern[] = []
    for (let char = this.#next; char !== undefined && char !== '|' && char !== ')'; char = this.#next) {
      if (options.extended && /\s/.test(char)) {
        this.#at++
        continue
      }
      if (options.extended && char === '#') {
        while (this.#next !== undefined && this.#next !== '\n') this.#at++
        continue
      }
      const item = this.#atom(options)
      if (item) items.push(this.#repeats(item, options))
    }
    return items.length === 1 ? items[0]! : { kind: 'sequence', items }
  }

  #repeats(first: Pattern, options: Options): Pattern {
    let item = first
    for (;;) {
      if (options.extended) while (this.#next !== undefined && /\s/.test(this.#next)) this.#at++
      const char = this.#next
      if (char === '*' || char === '+' || char === '?') {
        this.#at++
        const [min, max] = char === '*' ? [0, Infinity] : char === '+' ? [1, Infinity] : [0, 1]
        const lazy = this.#take('?')
        const possessive = !lazy && this.#take('+')
        item = this.#repeat(item, min, max, lazy)
        if (possessive) item = { kind: 'atomic', item }
      } else if (char === '{') {
        const bounds = this.#bounds()
        if (!bounds) return item
        const [min, max] = bounds
        if (min > max || (max !== Infinity && max > 1000) || min > 1000) this.#refuse(`repeats {${min},${max}}`)
        const lazy = this.#take('?')
        // `{n}?` is an optional `{n}`; a `+` behind repeats the repetition
        if (lazy && min === max) item = this.#repeat(this.#repeat(item, min, max, false), 0, 1, false)
        else item = this.#repeat(item, min, max, lazy)
      } else return item
    }
  }

  #repeat(item: Pattern, min: number, max: number, lazy: boolean): Pattern {
    // (?:x{1,m})+ is x+ for one character x: the same matches, in one loop
    const inner = item.kind === 'repeat' && item.mode === 'greedy' && item.item.kind === 'set' ? item : undefined
    const flat = inner && !lazy && inner.min <= 1 && max === Infinity
    if (flat) return { kind: 'repeat', item: inner.item, min: Math.min(min, inner.min), max, mode: 'greedy' }
    return { kind: 'repeat', item, min, max, mode: lazy ? 'lazy' : 'greedy' }
  }

  /** `{n}`, `{n,}`, `{,m}`, `{n,m}`; anything else is plain text */
  #bounds(): readonly [number, number] | undefined {
    const found = /^\{(\d*)(,?)(\d*)\}/.exec(this.#chars.slice(this.#at, this.#at + 16).join(''))
    if (!found || (found[1] === '' && found[3] === '')) return undefined
    this.#at += found[0].length
    const min = Number(found[1])
    return [min, found[2] === '' ? min : found[3] === '' ? Infinity : Number(found[3])]
  }

  #set(source: string, { ignoreCase }: Options): Pattern {
    return { kind: 'set', source: ignoreCase ? foldSet(source) : source }
  }

  #atom(options: Options): Pattern | undefined {
    const char = this.#chars[this.#at++]!
    switch (char) {
      case '(':
        return this.#group(options)
      case '[':
        return { kind: 'set', source: this.#class(options) }
      case '.':
        return { kind: 'set', source: options.dotAll ? sets.any : sets.notNewline }
      case '^':
        return { kind: 'edge', at: 'line-start' }
      case '$':
        return { kind: 'edge', at: 'line-end' }
      case '\\':
        return this.#escape(options)
      case '*':
      case '+':
      case '?':
        return this.#refuse(`repeats nothing with '${char}'`)
      default:
        if (options.ignoreCase && [...char.toUpperCase()].length > 1) {
          this.#refuse(`leaves the case of ${quoted(char)} open, which has several capitals`)
        }
        return this.#set(hexOf(char.codePointAt(0)!), options)
    }
  }

  #group(options: Options): Pattern | undefined {
    const close = (item: Pattern) => {
      if (!this.#take(')')) this.#refuse("lacks a ')'")
      return item
    }
    if (!this.#take('?')) return close(this.#choice(options))
    if (this.#take(':')) return close(this.#choice(options))
    if (this.#take('>')) return close({ kind: 'atomic', item: this.#choice(options) })
    for (const [text, behind, negative] of [
      ['=', false, false],
      ['!', false, true],
      ['<=', true, false],
      ['<!', true, true],
    ] as const) {
      if (this.#take(text)) return close({ kind: 'look', behind, negative, item: this.#choice(options) })
    }
    if (this.#take('#')) {
      while (this.#next !== undefined && this.#next !== ')') this.#at++
      if (!this.#take(')')) this.#refuse("lacks a ')'")
      return undefined
    }
    const rest = this.#chars.slice(this.#at, this.#at + 64).join('')
    const name = /^(?:<([\p{L}_][\p{L}\p{N}_]*)>|'([\p{L}_][\p{L}\p{N}_]*)')/u.exec(rest)
    if (name) {
      this.#at += [...name[0]].length
      return close(this.#choice(options))
    }
    const flags = /^([imx]*)(?:-([imx]*))?([:)])/.exec(rest)
    if (!flags) this.#refuse(`has a group of a kind that is not supported, '(?${rest.slice(0, 3)}'`)
    this.#at += flags[0].length
    const [, on = '', off = '', end] = flags
    const set = (flag: string, before: boolean) => (off.includes(flag) ? false : on.includes(flag) || before)
    const inner = {
      ignoreCase: set('i', options.ignoreCase),
      dotAll: set('m', options.dotAll),
      extended: set('x', options.extended),
    }
    // `(?i)` holds for the rest of the group, further options of it included
    return end === ')' ? this.#choice(inner) : close(this.#choice(inner))
  }

  #escape(options: Options): Pattern {
    const char = this.#next
    if (char === undefined) this.#refuse("ends with '\\'")
    const edge = ({ A: 'text-start', z: 'text-end', Z: 'last-line-end', b: 'word', B: 'not-word' } as const)[char]
    if (edge) {
      this.#at++
      return { kind: 'edge', at: edge }
    }
    if (char === 'R') {
      this.#at++
      const pair: Pattern = { kind: 'sequence', items: ['\\u{D}', '\\u{A}'].map((source) => ({ kind: 'set', source })) }
      return { kind: 'atomic', item: { kind: 'choice', options: [pair, { kind: 'set', source: sets.lineBreak }] } }
    }
    if (/[1-9]/.test(char)) this.#refuse(`has a backreference, '\\${char}'`)
    if ('GKXkgyY'.includes(char)) this.#refuse(`has an escape that is not supported, '\\${char}'`)
    return this.#set(this.#characters(), options)
  }

  /** An escape that stands for one code point of a set, behind the backslash. */
  #characters(inClass = false): string {
    const char = this.#chars[this.#at++]
    if (char === undefined) return this.#refuse("ends with '\\'")
    const word = inClass ? sets.word : sets.looseWord
    const known = { d: sets.digit, w: word, s: sets.space, h: sets.hex, N: sets.notNewline, O: sets.any }[char]
    if (known && !(inClass && 'NO'.includes(char))) return known
    const opposite = { D: sets.digit, W: word, S: sets.space, H: sets.hex }[char]
    if (opposite) return `[^${opposite}]`
    const control = { t: 9, n: 10, v: 11, f: 12, r: 13, a: 7, e: 27, b: 8 }[char]
    if (control !== undefined && (char !== 'b' || inClass)) return hexOf(control)
    if (char === 'p' || char === 'P') return this.#property(char === 'P')
    if (char === 'x' && this.#take('{')) return this.#code(/^([0-9A-Fa-f]{1,8})\}/)
    if (char === 'x') return this.#code(/^([0-7][0-9A-Fa-f]|[0-9A-Fa-f](?![0-9A-Fa-f]))/)
    if (char === 'u') return this.#code(/^([0-9A-Fa-f]{4})/)
    if (/[0-7]/.test(char)) {
      this.#at--
      return this.#code(/^([0-7]{1,3})/, 8)
    }
    if (/[cCM89]/.test(char)) return this.#refuse(`has an escape that is not supported, '\\${char}'`)
    return hexOf(char.codePointAt(0)!)
  }

  #code(digits: RegExp, radix = 16): string {
    const found = digits.exec(this.#chars.slice(this.#at, this.#at + 10).join(''))
    const code = found ? Number.parseInt(found[1]!, radix) : -1
    if (!found || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return this.#refuse('has a bad character code')
    this.#at += found[0].length
    return hexOf(code)
  }

  #property(negated: boolean): string {
    const found = /^\{(\^?)([^{}]{1,40})\}/.exec(this.#chars.slice(this.#at, this.#at + 44).join(''))
    if (!found) return this.#refuse("has a '\\p' without a name")
    this.#at += [...found[0]].length
    const set = propertySet(found[2]!)
    if (!set) return this.#refuse(`names a property that is not known, ${quoted(found[2]!)}`)
    return negated !== (found[1] === '^') ? `[^${set}]` : set
  }

  /** A class behind its `[`, as one JavaScript class. */
  #class(options: Options): string {
    if (++this.#depth > MAX_DEPTH) this.#refuse('nests too deeply')
    const negated = this.#take('^')
    const sides: string[] = []
    let parts: string[] = []
    let first = true
    const side = () => {
      sides.push(`[${parts.join('')}]`)
      parts = []
    }
    for (;;) {
      const char = this.#next
      if (char === undefined) this.#refuse("lacks a ']'")
      if (char === ']' && !(first && this.#chars.includes(']', this.#at + 1))) break
      first = false
      if (this.#take('&&')) {
        side()
        continue
      }
      if (this.#take('[:')) {
        const found = /^(\^?)([a-z]+):\]/.exec(this.#chars.slice(this.#at, this.#at + 20).join(''))
        const set = found && propertySet(found[2]!)
        if (!set) this.#refuse('has a bracket of a kind that is not known')
        this.#at += found[0].length
        parts.push(found[1] ? `[^${set}]` : set)
        continue
      }
      if (this.#take('[')) {
        parts.push(this.#class({ ...options, ignoreCase: false }))
        continue
      }
      const from = this.#classItem()
      // `-` joins two single characters; beside anything else it is itself
      const range = /^\\u\{/.test(from) && this.#next === '-' && !/^[\]]|^\[$/.test(this.#chars[this.#at + 1] ?? ']')
      if (!range) {
        const joins = this.#next === '-' && ![']', '-', undefined].includes(this.#chars[this.#at + 1])
        if (joins && !/^\\u\{/.test(from)) this.#refuse('has a range that begins with a set')
        parts.push(from)
        continue
      }
      this.#at++
      if (this.#chars[this.#at] === '&' && this.#chars[this.#at + 1] === '&') {
        parts.push(from, hexOf(0x2d))
        continue
      }
      const to = this.#classItem()
      if (!/^\\u\{/.test(to)) parts.push(from, hexOf(0x2d), to)
      else if (Number.parseInt(from.slice(3), 16) > Number.parseInt(to.slice(3), 16)) this.#refuse('has an empty range')
      else parts.push(`${from}-${to}`)
    }
    this.#at++
    side()
    this.#depth--
    const positive = sides.length === 1 ? sides[0]! : `[${sides.join('&&')}]`
    const folded = options.ignoreCase ? foldSet(positive) : positive
    return negated ? `[^${folded}]` : folded
  }

  #classItem(): string {
    const char = this.#chars[this.#at++]!
    return char === '\\' ? this.#characters(true) : hexOf(char.codePointAt(0)!)
  }
}
