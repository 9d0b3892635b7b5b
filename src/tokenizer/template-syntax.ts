// Finds the line of a syntax error in a chat template: the jinja package reports none. Tags are counted, because the
// package's tokens carry no position but keep the order of the tags.
import { parse, tokenize } from '@huggingface/jinja'

/** how templates are read, as the original library does for chats */
export const JINJA_OPTIONS = { lstrip_blocks: true, trim_blocks: true }

/** 1-based line of the tag at which `source` stops being a template, or undefined when it cannot be told. */
export function lineOfSyntaxError(source: string): number | undefined {
  const tags = [...source.matchAll(/\{[{%#]/g)].filter(
    ({ index }) => !/^\{%-?\s*(?:end)?generation\s*-?%\}/.test(source.slice(index, index + 40)),
  )
  const lineOf = (tag: number) => {
    const place = tags[Math.min(tag, tags.length - 1)]?.index
    return place === undefined ? undefined : source.slice(0, place).split('\n').length
  }
  let tokens: ReturnType<typeof tokenize>
  try {
    tokens = tokenize(source, JINJA_OPTIONS)
  } catch {
    return lineOf(firstTagThatBreaks(source, tags))
  }
  // The parser reads tokens in order: the last one that it touched is where it gave up.
  let last = 0
  const watched = new Proxy(tokens, {
    get(target, key, receiver) {
      const index = typeof key === 'string' ? Number(key) : Number.NaN
      if (Number.isInteger(index) && index < target.length) last = Math.max(last, index)
      return Reflect.get(target, key, receiver)
    },
  })
  try {
    parse(watched)
    return undefined
  } catch {
    const isTag = (type: string) => /^Open(Statement|Expression)$|^Comment$/.test(type)
    const before = tokens.slice(0, last + 1).filter((token) => isTag(token.type)).length
    return lineOf(Math.max(0, before - 1))
  }
}

/** The lexer fails on a prefix that includes the bad tag and not on a shorter one. */
function firstTagThatBreaks(source: string, tags: readonly RegExpExecArray[]): number {
  let good = 0
  let bad = tags.length
  while (good < bad) {
    const middle = (good + bad) >> 1
    try {
      tokenize(source.slice(0, tags[middle + 1]?.index ?? source.length), JINJA_OPTIONS)
      good = middle + 1
    } catch {
      bad = middle
    }
  }
  return good
}
