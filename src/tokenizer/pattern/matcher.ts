// Every match of a pattern in a text, from left to right, in time linear in the text.
import { isLinear, toRegExp } from './javascript.ts'
import { LinearMatcher } from './linear.ts'
import { parsePattern } from './syntax.ts'

/** starts and ends of matches in turn, in UTF-16 units; a match may be empty */
export type Matches = number[]

export interface Matcher {
  /** Appends matches of `text` to `found` until it has `limit` numbers; goes on where it stopped. True at the end. */
  more(text: string, found: Matches, limit: number): boolean
  /** the matches themselves where they cover every short text whole, else undefined */
  readonly regex: RegExp | undefined
}

/**
 * A match begins at or behind the end of the last; an empty one that touches the last is passed over.
 * `find` gives the first match at or behind a place.
 */
function iterate(
  text: string,
  found: Matches,
  limit: number,
  find: (from: number) => readonly [number, number] | undefined,
): boolean {
  let last = found.length > 0 ? found[found.length - 1]! : -1
  let from = Math.max(0, last)
  while (found.length < limit) {
    const match = from <= text.length ? find(from) : undefined
    if (!match) return true
    const [start, end] = match
    if (start === end && end === last) {
      from = end + (end < text.length && text.codePointAt(end)! > 0xffff ? 2 : 1)
      continue
    }
    found.push(start, end)
    last = end
    from = end
  }
  return false
}

/** Reads an Oniguruma pattern; `at` tells where it stands in the file. */
export function compilePattern(source: string, at: string): Matcher {
  const pattern = parsePattern(source, at)
  const linear = isLinear(pattern) ? undefined : LinearMatcher.of(pattern)
  return linear ? linearMatcher(linear) : regexMatcher(toRegExp(pattern))
}

export function regexMatcher(regex: RegExp): Matcher {
  return {
    regex,
    more: (text, found, limit) =>
      iterate(text, found, limit, (from) => {
        regex.lastIndex = from
        for (let match = regex.exec(text); match; match = regex.exec(text)) {
          const { index, 0: found } = match
          if (found !== '' || !insidePair(text, index)) return [index, index + found.length]
          regex.lastIndex = index + 1 // V8 finds empty matches between the halves of a character
        }
        return undefined
      }),
  }
}

const insidePair = (text: string, at: number) => at > 0 && at < text.length && text.codePointAt(at - 1)! > 0xffff

export function linearMatcher(linear: LinearMatcher): Matcher {
  return {
    regex: undefined,
    more(text, found, limit) {
      if (found.length === 0) linear.reset(text)
      return iterate(text, found, limit, (from) => linear.find(from))
    },
  }
}

/** Matches of `text` as it stands; of an empty one, the places between characters. */
export function literalMatcher(literal: string): Matcher {
  return {
    regex: undefined,
    more: (text, found, limit) =>
      iterate(text, found, limit, (from) => {
        const start = text.indexOf(literal, from)
        return start < 0 ? undefined : [start, start + literal.length]
      }),
  }
}

export function allMatches(matcher: Matcher, text: string): Matches {
  const found: Matches = []
  matcher.more(text, found, Number.POSITIVE_INFINITY)
  return found
}
