// Patterns match as in the original library, by V8 and by the matcher of our own, and in linear time.
import { describe, expect, test } from 'vitest'
import { isLinear, toRegExp } from '../../../src/tokenizer/pattern/javascript.ts'
import { LinearMatcher } from '../../../src/tokenizer/pattern/linear.ts'
import { allMatches, compilePattern, linearMatcher, regexMatcher } from '../../../src/tokenizer/pattern/matcher.ts'
import { parsePattern } from '../../../src/tokenizer/pattern/syntax.ts'
import { preTokenizer, preTokenizerNames } from '../../../src/tokenizer/pre-tokenizers.ts'
import { original } from './original.ts'

const texts = [
  'abc abc',
  "It's 2024,  ok\n\n x\r\n",
  'aaaa',
  'AbC\nabc\n',
  '\n',
  '\na',
  '12345678 123',
  'ſſ Kk ßSS',
  '  \t\u00a0\u3000x ',
  'é e\u0301 中文 🦊👩‍👩‍👧',
  'a{2}b] foobar barfoo foo_bar-baz',
  'x²½ ab\u2028cd\u0085',
]

/** `text` with `<>` in place of every match. */
function marked(pattern: string, text: string): string {
  const file = {
    version: '1.0',
    normalizer: { type: 'Replace', pattern: { Regex: pattern }, content: '<>' },
    model: { type: 'WordLevel', vocab: { x: 0 }, unk_token: 'x' },
  }
  return original.Tokenizer.fromString(JSON.stringify(file)).getNormalizer().normalizeString(text)
}

const published = [
  String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`,
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ' ?[^(\\s|.,!?…。，、।۔،)]+',
  '[0-9][0-9][0-9]',
]

const patterns = [
  ...String.raw`a a* a+? a??b a*+a a++ (?>a+)a (?:ab|a)(?:c|bcd)? ^ $ ^a a$ \A. .\z .\Z \b \B \w+ \W+ \d{2} \d{,2} \d{2,}? \d{2}?`.split(
    ' ',
  ),
  ...String.raw`\d{1,3}+ [[:alpha:]]+ [[:^alpha:]]+ [[:punct:]] [^[:space:]] [a-c&&[^b]] [a-z&&^b] [\w&&[^\d_]]+ []a] [a-] [-a] [a-c-e]`.split(
    ' ',
  ),
  ...`(?i)abc (?i:s|t|k) (?i:[a-c]) (?i:[^a-c]) a(?i)b|c (?m:.+) .+ (?i-m:x) (?<=a)b (?<!a)b (?<=foo)bar (?<=a|fo)o`.split(
    ' ',
  ),
  ...String.raw`(?=a) (?!a)b \p{L}+ \p{^L}+ \P{^L} \p{upper} \p{Han}+ \p{Cased_Letter} \p{Space} \h+ \H \R \N \O \x41 \x{1f98a}`.split(
    ' ',
  ),
  ...String.raw`\u00e9 \t|\n \e|\a [\b] { a{ a{2 a{2}b a{,} } ] \{2\} x{0} (a)(b)? (?<name>a) (?#comment)a (?:) a||b |a a|`.split(
    ' ',
  ),
  ...String.raw`(?:a|)+ (a*)* (?:a?b?)* (?:a|ab)(?:c|bcd)* \p{N}{1,3}(?=(?:\p{N}{3})*\b) \s+$ \s?\p{L}+ (?<!\s)\s+(?=\S)`.split(
    ' ',
  ),
  '(?x: a b c # comment\n)',
  String.raw`(?x)a\ b`,
  ...published,
]

test.each(patterns)('%s', (source) => {
  const pattern = parsePattern(source, 'a test')
  const linear = LinearMatcher.of(pattern)
  const matchers = [regexMatcher(toRegExp(pattern)), ...(linear ? [linearMatcher(linear)] : [])]
  for (const text of texts) {
    const expected = marked(source, text)
    for (const matcher of matchers) {
      const found = allMatches(matcher, text)
      let replaced = ''
      let done = 0
      for (let at = 0; at < found.length; at += 2) {
        replaced += `${text.slice(done, found[at])}<>`
        done = found[at + 1]!
      }
      expect({ text, replaced: replaced + text.slice(done) }).toEqual({ text, replaced: expected })
    }
  }
})

test.each([
  ['a backreference', String.raw`(a)\1`],
  ['a call', String.raw`(?<x>a)\g<x>`],
  ['a condition', '(?(1)a|b)'],
  ['an absence', '(?~a)'],
  ['a grapheme', String.raw`\X`],
  ['a property that is not known', String.raw`\p{Klingon}`],
  ['a bracket that is not known', '[[:foo:]]'],
  ['an open group', '(a'],
  ['a group too many', 'a)'],
  ['an open class', '[a'],
  ['an empty range', '[b-a]'],
  ['a range from a set', String.raw`[\w-z]`],
  ['nothing repeated', '*a'],
  ['a letter of several capitals', '(?i:ß)'],
  ['too deep a nest', '('.repeat(1000)],
])('refuses %s', (_, source) => {
  expect(() => compilePattern(source, 'a test')).toThrow(/error\[unsupported-pattern\]/)
})

test('says what a pattern has that cannot be carried over, without its control characters', () => {
  expect(() =>
    compilePattern('(\u001b[2J)\\1', 'pre_tokenizer.pattern.Regex of tokenizer.json'),
  ).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[unsupported-pattern]: a pattern of the tokenizer lacks a ']'
      at      pre_tokenizer.pattern.Regex of tokenizer.json
      pattern '(\\u001b[2J)\\1'
      help: the pattern cannot be carried over to this program: load the model from a GGUF file]
  `)
})

describe('linear time', () => {
  test.each(published)('V8 runs %s', (source) => expect(isLinear(parsePattern(source, 'a test'))).toBe(true))
  test.each(preTokenizerNames)('of pre-tokenizer %s', (name) => {
    for (const unit of ['a', 'A', ' ', '1', '!', '\n', '中']) {
      const text = unit.repeat(50_000)
      for (const matcher of preTokenizer(name).patterns) quickly(() => allMatches(matcher, text))
    }
  })
  test.each([
    '(a+)+$',
    '(a|aa)+$',
    'a*a*a*b',
    '[a-z]+[0-9]',
    String.raw`\s+\n`,
    String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*\b)`,
    '(?<=a)b|a+c',
    '(?>a*)b',
    'a(?=a*b)',
  ])('%s', (source) => {
    const matcher = compilePattern(source, 'a test')
    for (const unit of ['a', ' ', '1']) quickly(() => allMatches(matcher, unit.repeat(100_000)))
  })
})

/** A quadratic matcher would take minutes. */
function quickly(run: () => unknown): void {
  const start = performance.now()
  run()
  expect(performance.now() - start).toBeLessThan(5000)
}
