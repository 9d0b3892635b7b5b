// Cutting words at matches, in the five ways that tokenizer.json knows.
import { allMatches, type Matcher, type Matches } from './pattern/matcher.ts'
import type { Steps } from './steps.ts'

export const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'] as const
export type Behavior = (typeof behaviors)[number]

/** Appends the parts of `text` to `words`; `inverted`, what lies between matches counts as match and the matches do not. */
function cut(text: string, matches: Matches, behavior: Behavior, inverted: boolean, words: string[]): void {
  // parts in turn: where each ends, and whether it is a match
  const ends: number[] = []
  const kinds: boolean[] = []
  let done = 0
  for (let at = 0; at < matches.length; at += 2) {
    const start = matches[at]!
    if (start > done) {
      ends.push(start)
      kinds.push(inverted)
    }
    ends.push(matches[at + 1]!)
    kinds.push(!inverted)
    done = matches[at + 1]!
  }
  if (done < text.length) {
    ends.push(text.length)
    kinds.push(inverted)
  }
  const joins = joinsOf(behavior, kinds)
  let start = 0
  for (let part = 0; part < ends.length; part++) {
    if (joins && part + 1 < ends.length && joins[part + 1]) continue // goes on in the next part
    const end = ends[part]!
    if (end > start && !(behavior === 'Removed' && kinds[part])) words.push(text.slice(start, end))
    start = end
  }
}

/** Which parts join the part before them; undefined: none. */
function joinsOf(behavior: Behavior, kinds: readonly boolean[]): readonly boolean[] | undefined {
  switch (behavior) {
    case 'Contiguous':
      return kinds.map((kind, part) => part > 0 && kind === kinds[part - 1])
    case 'MergedWithPrevious':
      // the first match of a run joins what is before it
      return kinds.map((kind, part) => part > 0 && kind && !kinds[part - 1])
    case 'MergedWithNext':
      // what is behind the last match of a run joins it
      return kinds.map((kind, part) => part > 0 && !kind && kinds[part - 1]!)
    default:
      return undefined
  }
}

/** longer texts are cut in steps */
const LONG_TEXT = 65_536
/** numbers of matches, and characters of short words, between two steps */
const STEP = 16_384

/** Cuts every word at its matches. */
export function* splitAll(
  words: readonly string[],
  matcher: Matcher,
  behavior: Behavior,
  inverted: boolean,
): Steps<string[]> {
  const { regex } = matcher
  // where matches cover a word, they are its parts: no places are needed
  const keepsMatches = behavior === 'Isolated' || (behavior === 'Removed' && inverted)
  const into: string[] = []
  let work = 0
  for (const word of words) {
    if (regex && keepsMatches && word.length < LONG_TEXT) {
      const parts = word.match(regex)
      if (parts && (behavior === 'Removed' || lengthOf(parts) === word.length)) {
        for (const part of parts) if (part !== '') into.push(part)
      } else cut(word, allMatches(matcher, word), behavior, inverted, into)
    } else {
      const matches: Matches = []
      while (!matcher.more(word, matches, matches.length + STEP)) yield
      cut(word, matches, behavior, inverted, into)
    }
    work += word.length
    if (work < STEP) continue
    work = 0
    yield
  }
  return into
}

const lengthOf = (parts: readonly string[]) => parts.reduce((sum, part) => sum + part.length, 0)
