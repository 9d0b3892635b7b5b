// Tokens that are found in the text before any merging: special tokens, and others that a vocabulary lists by hand.
import type { Steps } from './steps.ts'
import type { SpecialMatch } from './tokenizer.ts'

export interface AddedToken {
  readonly id: number
  readonly text: string
  /** a control token: found only when special parsing is on */
  readonly special: boolean
  /** also takes the white space before or after it */
  readonly lstrip?: boolean
  readonly rstrip?: boolean
  /** not inside a word */
  readonly singleWord?: boolean
}

interface Branch {
  readonly children: Map<number, Branch>
  token?: AddedToken
}

/** Finds tokens from left to right, the longest where several begin at one place (a trie over UTF-16 units). */
export class AddedTokenFinder {
  readonly #root: Branch = { children: new Map() }
  /** UTF-16 units that begin a token */
  readonly #firsts = new Uint8Array(0x10000)
  readonly size: number

  constructor(tokens: Iterable<AddedToken>) {
    let size = 0
    for (const token of tokens) {
      if (token.text === '') continue
      let branch = this.#root
      for (let at = 0; at < token.text.length; at++) {
        const unit = token.text.charCodeAt(at)
        const child: Branch = branch.children.get(unit) ?? { children: new Map() }
        branch.children.set(unit, child)
        branch = child
      }
      branch.token ??= token
      this.#firsts[token.text.charCodeAt(0)] = 1
      size++
    }
    this.size = size
  }

  find(text: string): SpecialMatch[] {
    return [...this.walk(text)]
  }

  /** The matches one by one. */
  *walk(text: string): Generator<SpecialMatch, void> {
    if (this.size === 0) return
    let free = 0 // end of the last match
    for (let start = 0; start < text.length; ) {
      const token = this.#firsts[text.charCodeAt(start)] ? this.#longestAt(text, start) : undefined
      if (!token) {
        start++
        continue
      }
      const end = start + token.text.length
      if (token.singleWord && insideWord(text, start, end)) {
        start = end // a shorter token or one that begins inside is not sought, as the original does
        continue
      }
      let from = start
      let to = end
      if (token.lstrip) while (from > free && SPACE.test(text[from - 1]!)) from--
      if (token.rstrip) while (to < text.length && SPACE.test(text[to]!)) to++
      yield { start, end, from, to, id: token.id }
      free = to
      start = to
    }
  }

  #longestAt(text: string, start: number): AddedToken | undefined {
    let longest: AddedToken | undefined
    let branch: Branch | undefined = this.#root
    for (let at = start; at < text.length; at++) {
      branch = branch.children.get(text.charCodeAt(at))
      if (!branch) break
      longest = branch.token ?? longest
    }
    return longest
  }
}

const SPACE = /\p{White_Space}/u
const WORD = '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]'
const WORD_AT_END = new RegExp(`${WORD}$`, 'u')
const WORD_AT_START = new RegExp(`^${WORD}`, 'u')
const insideWord = (text: string, start: number, end: number) =>
  WORD_AT_END.test(text.slice(Math.max(0, start - 2), start)) || WORD_AT_START.test(text.slice(end, end + 2))

/** matches between two steps */
const STEP = 4096

/** Splits `text` at the tokens: text and ids in turn, without empty strings. */
export function* splitAtTokens(text: string, finder: AddedTokenFinder): Steps<(string | number)[]> {
  const parts: (string | number)[] = []
  let done = 0
  let found = 0
  for (const { from, to, id } of finder.walk(text)) {
    if (from > done) parts.push(text.slice(done, from))
    parts.push(id)
    done = to
    if (++found % STEP === 0) yield
  }
  if (done < text.length) parts.push(text.slice(done))
  return parts
}
