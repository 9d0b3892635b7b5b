// A pattern as a regular expression of JavaScript. V8 tries alternatives one after the other, which for some patterns takes
// time in the square of a text or worse: `isLinear` tells for which it cannot, the others run in `linear.ts`.
import { sets } from './character-set.ts'
import type { Edge, Pattern } from './syntax.ts'

const edges: Readonly<Record<Edge, string>> = {
  'text-start': '(?<!\\p{Any})',
  'text-end': '(?!\\p{Any})',
  'last-line-end': '(?=\\u{a}?(?!\\p{Any}))',
  // no line begins behind a newline that ends the text
  'line-start': '(?:(?<!\\p{Any})|(?<=\\u{a})(?=\\p{Any}))',
  'line-end': '(?=\\u{a}|(?!\\p{Any}))',
  word: `(?:(?<=${sets.looseWord})(?!${sets.looseWord})|(?<!${sets.looseWord})(?=${sets.looseWord}))`,
  'not-word': `(?:(?<=${sets.looseWord})(?=${sets.looseWord})|(?<!${sets.looseWord})(?!${sets.looseWord}))`,
}

export function toRegExp(pattern: Pattern): RegExp {
  let captures = 0
  const write = (node: Pattern): string => {
    switch (node.kind) {
      case 'set':
        return node.source
      case 'sequence':
        return node.items.map((item) => (item.kind === 'choice' ? `(?:${write(item)})` : write(item))).join('')
      case 'choice':
        return node.options.map(write).join('|')
      case 'repeat':
        return `${node.item.kind === 'set' ? write(node.item) : `(?:${write(node.item)})`}${times(node)}`
      case 'atomic': {
        // what a lookahead has matched is not tried again
        const group = ++captures
        return `(?=(${write(node.item)}))\\${group}`
      }
      case 'look':
        return `(?${node.behind ? '<' : ''}${node.negative ? '!' : '='}${write(node.item)})`
      case 'edge':
        return edges[node.at]
    }
  }
  return new RegExp(write(pattern), 'gv')
}

function times({ min, max, mode }: Extract<Pattern, { kind: 'repeat' }>): string {
  const lazy = mode === 'lazy' ? '?' : ''
  if (max === Infinity) return `${min === 0 ? '*' : min === 1 ? '+' : `{${min},}`}${lazy}`
  return `{${min},${max}}${lazy}`
}

type Loop = { readonly source: string; readonly min: number }

/**
 * True where V8 takes time in the length of any text: alternatives of bounded parts and of loops over one set, where
 * - no more than two loops follow each other, and behind the second nothing can fail (but for `(?!…)` of one character,
 *   which is met one character earlier), so that an attempt is one pass;
 * - a loop that something can fail behind is inside the set of a later alternative that is a loop and cannot fail, so that
 *   what was read in vain is then taken at once.
 */
export function isLinear(pattern: Pattern): boolean {
  const options = (pattern.kind === 'choice' ? pattern.options : [pattern]).map(strip)
  const shapes = options.map(shapeOf)
  return shapes.every((shape, index) => {
    if (!shape) return false
    return shape.risky.every((loop) =>
      shapes
        .slice(index + 1)
        .some((later) => later?.sure && later.sure.min <= 1 && within(loop.source, later.sure.source)),
    )
  })
}

/** An atomic group changes where an attempt ends, not how far it reads. */
function strip(pattern: Pattern): Pattern {
  if (pattern.kind === 'atomic') return strip(pattern.item)
  if (pattern.kind === 'sequence') {
    const items = pattern.items.map(strip).flatMap((item) => (item.kind === 'sequence' ? item.items : [item]))
    return { kind: 'sequence', items }
  }
  return pattern
}

/** What an alternative's loops are: `risky` ones may be read in vain, `sure` is one that takes what it reads. */
function shapeOf(option: Pattern): { readonly risky: readonly Loop[]; readonly sure: Loop | undefined } | undefined {
  const items = option.kind === 'sequence' ? option.items : [option]
  const loops: { loop: Loop; at: number }[] = []
  for (const [at, item] of items.entries()) {
    if (item.kind === 'repeat' && item.max === Infinity && item.item.kind === 'set') {
      loops.push({ loop: { source: item.item.source, min: item.min }, at })
    } else if (!isBounded(item)) return undefined
  }
  const last = loops.at(-1)
  if (!last) return { risky: [], sure: undefined }
  if (loops.length > 2) return undefined
  const tail = items.slice(last.at + 1)
  const misses = tail.filter((item) => !canBeEmpty(item))
  const look = misses.length === 1 && tail.length === 1 && isOneCharacterLook(misses[0]!) ? misses[0]! : undefined
  if (misses.length > 0 && !look && loops.length > 1) return undefined
  const first = loops[0]!
  const goesOn = loops.length === 2 && last.loop.min > 0
  const risky = goesOn ? [first.loop] : []
  // `(?!\S)` behind `\s+` holds one character earlier, if not where the loop ends; anything else may fail all the way back
  if (misses.length > 0 && !(look && holdsWithin(look, last.loop.source))) risky.push(last.loop)
  const sure = !goesOn && misses.length === 0 && items.slice(0, first.at).every(canBeEmpty) ? first.loop : undefined
  return { risky, sure }
}

const isOneCharacterLook = (item: Pattern) =>
  item.kind === 'look' && !item.behind && item.negative && item.item.kind === 'set'
const holdsWithin = (look: Pattern, set: string) =>
  look.kind === 'look' && look.item.kind === 'set' && !overlap(look.item.source, set)

const canBeEmpty = (item: Pattern): boolean =>
  item.kind === 'repeat' ? item.min === 0 : item.kind === 'choice' ? item.options.some(canBeEmpty) : false

function isBounded(item: Pattern): boolean {
  switch (item.kind) {
    case 'sequence':
      return item.items.every(isBounded)
    case 'choice':
      return item.options.every(isBounded)
    case 'repeat':
      return item.max <= 16 && isBounded(item.item)
    case 'atomic':
    case 'look':
      return isBounded(item.item)
    default:
      return true
  }
}

/** code points of every kind that patterns tell apart: for a forecast of time, never for a match */
const samples =
  Array.from({ length: 0x250 }, (_, code) => String.fromCharCode(code)).join('') +
  // letters with and without case, of several scripts and widths; modifiers
  'ΑαАаẀẁＡａǅᾈ𐐀𐐨אاअกあア一龥가𐀀ʰـ々ーｰ' +
  // marks; numbers
  '\u0300\u0483\u0591\u064b\u0900\u3099\ufe00\u0903\u0982\u302e\u0488\u20dd٠०０𝟎Ⅰ〇①㈠' +
  // punctuation and symbols
  '‿＿—〜⁅〈〉‘’;、。！،∀＋€゛＾←☀😀' +
  // spaces, separators, format, private use, unassigned
  '\u1680\u2003\u202f\u3000\u2028\u2029\u200b\u200d\u2060\ufeff\ue000\u0378'

const sampled = (set: string): ReadonlySet<string> => new Set(samples.match(new RegExp(set, 'gv')))

function within(inner: string, outer: string): boolean {
  const outside = sampled(outer)
  return [...sampled(inner)].every((char) => outside.has(char))
}

function overlap(a: string, b: string): boolean {
  const inB = sampled(b)
  return [...sampled(a)].some((char) => inB.has(char))
}
