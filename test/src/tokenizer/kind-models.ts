// Texts that are hard for tokenizers, and small models of every type for the files of `kinds.ts`.
import { byteToChar } from '../../../src/tokenizer/bytes.ts'

export type Json = Readonly<Record<string, unknown>>

const corpus =
  "the quick brown fox jumps over the lazy dog. Hello world! don’t do not can't I'm 12345 67 3.14 (naïve) café CAFÉ " +
  'résumé Straße ΣΑΣ Σίσυφος Привет, мир! 日本語 にほんご 한국어 中文字 שלום العربية <s> </s> [MASK] hello hello world'

export const texts: readonly string[] = [
  '',
  ' ',
  'a',
  'Hello world',
  ' Hello  world ',
  "I'm sure it's DON'T, they'll've",
  'the quick brown fox jumps over the lazy dog',
  'café cafe\u0301 CAFE\u0301 Å A\u030a ﬁ ½ ² Ⅷ ㎏ ｆｕｌｌ',
  'Straße ΣΑΣ ΟΔΟΣ İstanbul ǅ',
  'I like 🍕 and 🍣.',
  '👩🏽‍💻 👨‍👩‍👧‍👦 🇩🇪🇫🇷 ❤️ 1️⃣',
  '😀a😀😀',
  '日本語 にほんご カタカナー 한국어 中文字 𠮷野家',
  'Привет, мир! Αθήνα',
  'שלום עולם مرحبا بالعالم ١٢٣',
  'ห้องน้ำ नमस्ते ক্ষ',
  'a\r\nb\n\nc\rd\r\n\r\n',
  '\t tab\ttab  \n  x',
  'a\u00a0b\u3000c\u2003d\u202fe\u2009f\u200bg\u2028h\u2029i\u0085j\u1680k\ufeffl',
  '12345 3.14 1,000,000 0x1F ٣٤٥ ５６ ¼',
  'snake_case camelCase PascalCase kebab-case',
  'a--b---c...d!?e',
  '!!!???...,,,;;;',
  '<s>a</s> <s> [MASK] [MASK]s x[MASK] <pad>',
  'hello <s>hello</s>hello  <extra>  hello',
  '  [MASK]  [MASK]\n',
  'x<s',
  '</s></s>',
  'a\u0000b\u0001c\u001fd\u007fe\u0080f\u009fg\u00adh\ufffdi',
  'lone \ud83c surrogate \udf55!',
  'zero\u200dwidth\u200cjoin\u2060er',
  '▁already▁ marked ▁',
  'ab'.repeat(40),
  'a'.repeat(130),
  ' '.repeat(30),
  '\n'.repeat(12),
  'é'.repeat(20),
  '🦊'.repeat(9),
  'e\u0301\u0302\u0303\u0304 z\u0335\u0336',
  "do not do  n't . , ? ! ' s 's 'm 've 're",
  'url https://example.org/a?b=c&d=%20#e',
  '{"json": [1, 2.5e-3, null], "k": "v\\n"}',
  '<0x41><0xE2>',
  'Ġspelled Ċbytes Ã©',
]

/** Merges of a byte-pair model of `words`, and its pieces: the most frequent pair first. */
function trained(words: readonly string[], alphabet: readonly string[], count: number, prefix = '', suffix = '') {
  const split = words.map((word) =>
    [...word].map((char, at, all) => (at > 0 ? prefix : '') + char + (at === all.length - 1 ? suffix : '')),
  )
  const pieces = new Set([...alphabet, ...split.flat()])
  const merges: [string, string][] = []
  while (merges.length < count) {
    const counts = new Map<string, number>()
    for (const word of split) {
      for (let at = 0; at + 1 < word.length; at++) {
        const pair = `${word[at]}\0${word[at + 1]}`
        counts.set(pair, (counts.get(pair) ?? 0) + 1)
      }
    }
    const best = [...counts].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))[0]
    if (!best) break
    const [left, right] = best[0].split('\0') as [string, string]
    const joined = left + right.slice(prefix.length)
    merges.push([left, right])
    pieces.add(joined)
    for (const word of split) {
      for (let at = 0; at + 1 < word.length; at++) {
        if (word[at] === left && word[at + 1] === right) word.splice(at, 2, joined)
      }
    }
  }
  return { pieces: [...pieces], merges }
}

const numbered = (pieces: readonly string[]) => Object.fromEntries([...new Set(pieces)].map((piece, id) => [piece, id]))
const spell = (text: string) => Array.from(new TextEncoder().encode(text), (byte) => byteToChar[byte]).join('')
export const byteTokens = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
)
const specials = ['<unk>', '<s>', '</s>', '[MASK]', '<pad>']

export const added = (id: number, content: string, more: Json = {}) => ({
  ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  ...more,
})
export const usual = [
  added(0, '<unk>'),
  added(1, '<s>'),
  added(2, '</s>'),
  added(3, '[MASK]', { lstrip: true }),
  added(4, '<pad>'),
]

const byteLevelWords = corpus.split(/(?= )/).map(spell)
const bytes = trained(byteLevelWords, byteToChar, 90)
export const byteLevelModel: Json = {
  type: 'BPE',
  vocab: numbered([...specials, ...bytes.pieces]),
  merges: bytes.merges,
}

/** Added tokens with the ids that the original gives them: those of the model, else the next ones. */
export function numberedTokens(tokens: readonly (readonly [content: string, more: Json])[]) {
  const vocab = byteLevelModel.vocab as Readonly<Record<string, number>>
  let next = Object.keys(vocab).length
  return tokens.map(([content, more]) => added(vocab[content] ?? next++, content, more))
}

const markedWords = corpus.split(/(?= )/).map((word) => word.replace(' ', '▁'))
const marked = trained(markedWords, ['▁', 'a', 'e', 'é'], 80)
export const spaceModel: Json = {
  ...{ type: 'BPE', unk_token: '<unk>', fuse_unk: true, byte_fallback: true },
  vocab: numbered([...specials, ...byteTokens, ...marked.pieces]),
  merges: marked.merges.map((pair) => pair.join(' ')),
}
export const unknownModel = (more: Json): Json => ({
  ...{ type: 'BPE', unk_token: '<unk>' },
  vocab: numbered([...specials, ...marked.pieces.filter((piece) => !/[zq日Я]/.test(piece))]),
  merges: marked.merges.filter((pair) => !/[zq日Я]/.test(pair.join(''))),
  ...more,
})
const plainWords = corpus.toLowerCase().split(' ')
const suffixed = trained(plainWords, [], 60, '', '</w>')
export const suffixModel: Json = {
  ...{ type: 'BPE', unk_token: '<unk>', end_of_word_suffix: '</w>' },
  vocab: numbered([...specials, ...suffixed.pieces, ...'abcdefghijklmnopqrstuvwxyz.,!']),
  merges: suffixed.merges,
}
const prefixed = trained(plainWords, [], 60, '##')
export const prefixModel: Json = {
  ...{ type: 'BPE', unk_token: '<unk>', continuing_subword_prefix: '##' },
  vocab: numbered([...specials, ...prefixed.pieces]),
  merges: prefixed.merges,
}

const wordPieces = [
  ...specials,
  ...[
    'the',
    'hello',
    'world',
    'quick',
    '##ick',
    '##ing',
    'do',
    '##n',
    "'",
    'caf',
    '##e',
    '##é',
    'i',
    'm',
    'a',
    '##a',
    'ab',
  ],
  ...[
    '##ab',
    '##b',
    '.',
    ',',
    '!',
    '?',
    '1',
    '##2',
    '12',
    '日',
    '本',
    '語',
    'ß',
    'str',
    '##a',
    '##ße',
    '##sse',
    'σ',
    '##α',
    '##ς',
  ],
  ...['привет', '##м', 'not', "'s", '##s', 'x', 'fox', 'jump', '##s', 'over', '🦊', '##🦊'],
]
export const wordPieceModel: Json = {
  ...{ type: 'WordPiece', unk_token: '<unk>', continuing_subword_prefix: '##', max_input_chars_per_word: 100 },
  vocab: numbered(wordPieces),
}
export const wordLevelModel: Json = {
  ...{ type: 'WordLevel', unk_token: '<unk>' },
  vocab: numbered([
    ...specials,
    ...corpus.split(' '),
    'hello',
    'a',
    'b',
    '.',
    ',',
    '!',
    'I',
    "'",
    'm',
    '1',
    '2',
    'world',
    'x',
  ]),
}

const unigramPieces = (extra: readonly string[]) => {
  const found = new Set([...specials, ...extra, ..."▁abcdefghijklmnopqrstuvwxyz.,!'éß日本語12345"])
  for (const word of markedWords) {
    for (let from = 0; from < word.length; from++) {
      for (let length = 2; length < 6; length++)
        if ((from * 7 + length) % 3 === 0) found.add(word.slice(from, from + length))
    }
  }
  return [...found].filter((piece) => !/[\ud800-\udfff]/.test(piece))
}
const scored = (pieces: readonly string[]) =>
  pieces.map((piece, id) => [
    piece,
    specials.includes(piece) ? 0 : -2 - ((id * 37) % 101) / 10 - 1 / (1 + piece.length),
  ])
export const unigramModel: Json = { type: 'Unigram', unk_id: 0, vocab: scored(unigramPieces([])), byte_fallback: false }
export const unigramBytes: Json = {
  type: 'Unigram',
  unk_id: 0,
  vocab: scored(unigramPieces(byteTokens)),
  byte_fallback: true,
}
