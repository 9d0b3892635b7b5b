// The pre-tokenizer of tokenizer.json: how a text is cut into words before the model sees it. Each step goes over the words
// that the step before made.

import { spellBytes } from '../bytes.ts'
import { propertySet } from '../pattern/character-set.ts'
import { compilePattern, type Matcher, regexMatcher } from '../pattern/matcher.ts'
import { type Behavior, behaviors, splitAll } from '../split.ts'
import type { Steps } from '../steps.ts'
import { prependScheme } from './decoder.ts'
import { badField, type FilePart, matcherOf, type Step, stepsOf, unknownStep } from './file.ts'

/** Cuts `words`; `atStart`: the first of them begins the text. */
type Stage = (words: readonly string[], atStart: boolean) => Steps<string[]>

export interface PreTokenizer {
  /** the last step spells bytes: words come as text, and the model's words are spelled when they are met */
  readonly byteLevel: boolean
  cut(text: string, atStart: boolean): Steps<readonly string[]>
}

/** the pattern of GPT-2 */
const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu
const SPACE = /\p{White_Space}/gu
/** words and runs of marks; a word has what joins letters, too */
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu

/** characters of words between two steps */
const STEP = 16_384

export function readPreTokenizer(part: FilePart): PreTokenizer {
  const steps = stepsOf(part, 'pretokenizers')
  const stages = steps.flatMap((step, at) => stagesOf(step, at === steps.length - 1))
  return {
    byteLevel: steps.at(-1)?.type === 'ByteLevel',
    *cut(text, atStart) {
      let words: readonly string[] = [text]
      let first = atStart
      for (const stage of stages) {
        const cut = yield* stage(words, first)
        // where the beginning was dropped, no word begins the text
        if (droppers.has(stage) && !words[0]?.startsWith(cut[0] ?? '')) first = false
        words = cut
      }
      return words
    },
  }
}

function stagesOf(step: Step, last: boolean): Stage[] {
  const { type, place, field } = step
  switch (type) {
    case 'ByteLevel': {
      const stages: Stage[] = []
      if (field.flag('add_prefix_space', true)) {
        stages.push(mapped((word) => (word.startsWith(' ') ? word : ` ${word}`)))
      }
      if (field.flag('use_regex', true)) stages.push(split(compilePattern(GPT2, place), 'Isolated', false))
      if (!last) stages.push(mapped(spellBytes))
      return stages
    }
    case 'Split': {
      const behavior = field.choice('behavior', behaviors, 'Isolated')
      return [split(matcherOf(step), behavior, field.flag('invert', false))]
    }
    case 'Metaspace':
      return [metaspace(step)]
    case 'Whitespace':
      return [split(regexMatcher(WORDS), 'Removed', true)]
    case 'WhitespaceSplit':
      return [split(regexMatcher(SPACE), 'Removed', false)]
    case 'BertPreTokenizer':
      return [split(regexMatcher(SPACE), 'Removed', false), split(regexMatcher(PUNCTUATION), 'Isolated', false)]
    case 'Punctuation':
      return [split(regexMatcher(PUNCTUATION), field.choice('behavior', behaviors, 'Isolated'), false)]
    case 'Digits': {
      const behavior = field.flag('individual_digits', false) ? 'Isolated' : 'Contiguous'
      return [split(regexMatcher(/\p{N}/gu), behavior, false)]
    }
    case 'CharDelimiterSplit':
    case 'Delimiter': {
      const code = field.character('delimiter').codePointAt(0)!
      return [split(regexMatcher(new RegExp(`\\u{${code.toString(16)}}`, 'gu')), 'Removed', false)]
    }
    case 'UnicodeScripts':
      return [scripts]
    case 'FixedLength': {
      const length = field.count('length', 5)
      if (length === 0) badField(`${place}.length`, 'is 0')
      return [flat((word, words) => pushFixed(word, length, words))]
    }
    default:
      return unknownStep(
        place,
        type,
        'pre-tokenizer',
        'ByteLevel, Split, Metaspace, Whitespace, WhitespaceSplit, BertPreTokenizer, Punctuation, Digits, ' +
          'CharDelimiterSplit, UnicodeScripts, FixedLength, Sequence',
      )
  }
}

const mapped = (map: (word: string) => string): Stage => flat((word, into) => into.push(map(word)))

/** A stage that takes each word apart by itself. */
const flat = (push: (word: string, into: string[]) => unknown): Stage =>
  function* (words) {
    const into: string[] = []
    let work = 0
    for (const word of words) {
      push(word, into)
      work += word.length
      if (work < STEP) continue
      work = 0
      yield
    }
    return into
  }

/** stages that drop parts of words */
const droppers = new WeakSet<Stage>()

function split(matcher: Matcher, behavior: Behavior, inverted: boolean): Stage {
  const stage: Stage = (words) => splitAll(words, matcher, behavior, inverted)
  if (behavior === 'Removed') droppers.add(stage)
  return stage
}

function metaspace(step: Step): Stage {
  const space = step.field.character('replacement', '▁')
  const scheme = prependScheme(step)
  const cuts = step.field.flag('split', true)
  const marks = regexMatcher(new RegExp(`\\u{${space.codePointAt(0)!.toString(16)}}`, 'gu'))
  const splits = split(marks, 'MergedWithNext', false)
  return function* (words, atStart) {
    const marked = words.map((word, at) => {
      const plain = word.replaceAll(' ', space)
      const prepends = scheme === 'always' || (scheme === 'first' && atStart && at === 0)
      return prepends && !plain.startsWith(space) ? space + plain : plain
    })
    return cuts ? yield* splits(marked, atStart) : marked
  }
}

/** `length` code points a word. */
function pushFixed(word: string, length: number, into: string[]): void {
  let start = 0
  let count = 0
  for (let at = 0; at < word.length; ) {
    at += word.codePointAt(at)! > 0xffff ? 2 : 1
    if (++count < length && at < word.length) continue
    into.push(word.slice(start, at))
    start = at
    count = 0
  }
}

/**
 * Cuts where the script changes. A space and characters of no script go with what is before them; before the first
 * character that has one they are dropped, as the original does.
 */
const scripts: Stage = flat((word, into) => {
  let start = -1
  let last: string | undefined
  for (let at = 0; at < word.length; ) {
    const code = word.codePointAt(at)!
    const script = code === 0x20 ? undefined : code === 0x30fc ? 'Han' : scriptOf(code)
    if (script !== undefined && script !== last) {
      if (start >= 0) into.push(word.slice(start, at))
      start = at
      last = script
    }
    at += code > 0xffff ? 2 : 1
  }
  if (start >= 0) into.push(word.slice(start))
})

const knownScripts = new Map<number, string | undefined>()

function scriptOf(code: number): string | undefined {
  if (knownScripts.has(code)) return knownScripts.get(code)
  const char = String.fromCodePoint(code)
  const name = scriptTests().find(([, test]) => test.test(char))?.[0]
  const script = name === 'Hiragana' || name === 'Katakana' ? 'Han' : name
  knownScripts.set(code, script)
  return script
}

let madeTests: readonly (readonly [name: string, test: RegExp])[] | undefined

function scriptTests() {
  madeTests ??= SCRIPTS.split(' ').flatMap((name) => {
    const set = propertySet(name)
    return set ? [[name, new RegExp(set, 'v')] as const] : []
  })
  return madeTests
}

const SCRIPTS =
  'Common Latin Han Inherited Cyrillic Arabic Greek Hangul Hiragana Katakana Hebrew Devanagari Thai Adlam Ahom ' +
  'Anatolian_Hieroglyphs Armenian Avestan Balinese Bamum Bassa_Vah Batak Bengali Bhaiksuki Bopomofo Brahmi Braille ' +
  'Buginese Buhid Canadian_Aboriginal Carian Caucasian_Albanian Chakma Cham Cherokee Coptic Cuneiform Cypriot Deseret ' +
  'Duployan Egyptian_Hieroglyphs Elbasan Ethiopic Georgian Glagolitic Gothic Grantha Gujarati Gurmukhi Hanunoo Hatran ' +
  'Imperial_Aramaic Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada Kayah_Li Kharoshthi Khmer ' +
  'Khojki Khudawadi Lao Lepcha Limbu Linear_A Linear_B Lisu Lycian Lydian Mahajani Malayalam Mandaic Manichaean ' +
  'Marchen Meetei_Mayek Mende_Kikakui Meroitic_Cursive Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar ' +
  'Nabataean New_Tai_Lue Newa Nko Ogham Ol_Chiki Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian ' +
  'Old_South_Arabian Old_Turkic Oriya Osage Osmanya Pahawh_Hmong Palmyrene Pau_Cin_Hau Phags_Pa Phoenician ' +
  'Psalter_Pahlavi Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham SignWriting Sinhala Sora_Sompeng ' +
  'Sundanese Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangut Telugu Thaana Tibetan ' +
  'Tifinagh Tirhuta Ugaritic Vai Warang_Citi Yi'
