// Small tokenizer.json files of every kind. `equal-to-original.test.ts` runs each on the hard texts, here and in the original
// library.
import {
  byteLevelModel,
  byteTokens,
  type Json,
  numberedTokens,
  prefixModel,
  spaceModel,
  suffixModel,
  unigramBytes,
  unigramModel,
  unknownModel,
  usual,
  wordLevelModel,
  wordPieceModel,
} from './kind-models.ts'

const template = (single: readonly unknown[]): Json => ({
  type: 'TemplateProcessing',
  single,
  pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
  special_tokens: {
    '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] },
    '</s>': { id: '</s>', ids: [2], tokens: ['</s>'] },
    both: { id: 'both', ids: [2, 1], tokens: ['</s>', '<s>'] },
  },
})
const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } })
const text = { Sequence: { id: 'A', type_id: 0 } }
const bos = template([special('<s>'), text])

const byteLevel = (more: Json = {}) => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: true,
  ...more,
})
const bytesOnly = byteLevel({ use_regex: false })
const sequence = (key: string, ...steps: Json[]): Json => ({ type: 'Sequence', [key]: steps })
const cuts = (...steps: Json[]) => sequence('pretokenizers', ...steps)
const split = (pattern: Json, behavior: string, invert = false): Json => ({ type: 'Split', pattern, behavior, invert })
const spaces = (prepend_scheme: string, more: Json = {}): Json => ({
  ...{ type: 'Metaspace', replacement: '▁', prepend_scheme, split: true },
  ...more,
})
const llamaDecoder = sequence(
  'decoders',
  { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
  { type: 'ByteFallback' },
  { type: 'Fuse' },
  { type: 'Strip', content: ' ', start: 1, stop: 0 },
)
const llamaNormalizer = sequence(
  'normalizers',
  { type: 'Prepend', prepend: '▁' },
  { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
)

const file = (parts: Json): Json => ({
  ...{ version: '1.0', truncation: null, padding: null, added_tokens: usual },
  ...{ normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null },
  ...parts,
})
const byteLevelFile = (parts: Json = {}) =>
  file({ pre_tokenizer: byteLevel(), decoder: byteLevel(), model: byteLevelModel, ...parts })
const unigramFile = (parts: Json = {}) =>
  file({ pre_tokenizer: spaces('always'), decoder: spaces('always'), model: unigramModel, ...parts })
const wordFile = (parts: Json = {}) => file({ pre_tokenizer: { type: 'Whitespace' }, model: wordLevelModel, ...parts })
const bertFile = (normalizer: Json, parts: Json = {}) =>
  file({
    normalizer: {
      type: 'BertNormalizer',
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
      ...normalizer,
    },
    ...{ pre_tokenizer: { type: 'BertPreTokenizer' }, decoder: { type: 'WordPiece', prefix: '##', cleanup: true } },
    ...{ post_processor: { type: 'BertProcessing', sep: ['</s>', 2], cls: ['<s>', 1] }, model: wordPieceModel },
    ...parts,
  })
/** A normalizer seen through bytes, which lose nothing. */
const normalizing = (normalizer: Json) => byteLevelFile({ normalizer, pre_tokenizer: bytesOnly })
/** A pre-tokenizer seen through bytes: merges do not cross its cuts. */
const cutting = (step: Json) => byteLevelFile({ pre_tokenizer: cuts(step, bytesOnly) })

const llama3 = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
const cl100k = String.raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`
const behaviors = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous']

/** SentencePiece's table of replacements: every node of its trie in a block of 256 units of its own. */
export function charsmap(replacements: Readonly<Record<string, string>>): string {
  interface Branch {
    readonly children: Map<number, Branch>
    value?: number
  }
  const utf8 = new TextEncoder()
  const root: Branch = { children: new Map() }
  let texts = ''
  for (const [from, to] of Object.entries(replacements)) {
    let branch = root
    for (const byte of utf8.encode(from)) {
      const child = branch.children.get(byte) ?? { children: new Map() }
      branch.children.set(byte, child)
      branch = child
    }
    branch.value = utf8.encode(texts).length
    texts += `${to}\0`
  }
  const units = new Map<number, number>()
  let blocks = 0
  const place = (branch: Branch, at: number, label: number) => {
    const block = ++blocks * 256
    units.set(at, label | (branch.value === undefined ? 0 : 1 << 8) | ((at ^ block) << 10))
    if (branch.value !== undefined) units.set(block, (branch.value | (1 << 31)) >>> 0)
    for (const [byte, child] of branch.children) place(child, block + byte, byte)
  }
  place(root, 0, 0)
  const blob = utf8.encode(texts)
  const size = (blocks + 1) * 1024
  const table = Buffer.alloc(4 + size + blob.length)
  table.writeUInt32LE(size, 0)
  for (const [at, unit] of units) table.writeUInt32LE(unit >>> 0, 4 + 4 * at)
  table.set(blob, 4 + size)
  return table.toString('base64')
}

const sentencePieceTable = charsmap({
  '\u00a0': ' ',
  '\u3000': ' ',
  '\t': ' ',
  '\n': ' ',
  '\r': '',
  ﬁ: 'fi',
  '½': '1⁄2',
  ｆ: 'f',
  '\u00ad': '',
  'e\u0301': 'é',
  'A\u030a': 'Å',
  한: '한',
  '\u200b': ' ',
  '🦊': 'fox',
  '❤': 'heart',
  é: 'e',
})

const splitKinds = behaviors.flatMap((behavior): [string, Json][] =>
  [false, true].flatMap((invert): [string, Json][] => [
    [
      `Split by a pattern, ${behavior}${invert ? ', inverted' : ''}`,
      cutting(split({ Regex: String.raw`\s+|[aeiou]+` }, behavior, invert)),
    ],
    [`Split by a text, ${behavior}${invert ? ', inverted' : ''}`, cutting(split({ String: 'o' }, behavior, invert))],
  ]),
)

export const kinds: readonly (readonly [name: string, file: Json])[] = [
  ['byte-level BPE as GPT-2', byteLevelFile()],
  [
    'byte-level BPE with a space before',
    byteLevelFile({ pre_tokenizer: byteLevel({ add_prefix_space: true }), post_processor: bos }),
  ],
  [
    'byte-level BPE as RoBERTa',
    byteLevelFile({
      pre_tokenizer: byteLevel({ add_prefix_space: true }),
      post_processor: {
        type: 'RobertaProcessing',
        sep: ['</s>', 2],
        cls: ['<s>', 1],
        trim_offsets: true,
        add_prefix_space: true,
      },
    }),
  ],
  [
    'byte-level BPE as Llama 3',
    byteLevelFile({
      model: { ...byteLevelModel, ignore_merges: true },
      pre_tokenizer: cuts(split({ Regex: llama3 }, 'Isolated'), bytesOnly),
      post_processor: sequence('processors', byteLevel(), bos),
    }),
  ],
  [
    'byte-level BPE as Qwen 2',
    byteLevelFile({
      normalizer: { type: 'NFC' },
      pre_tokenizer: cuts(split({ Regex: llama3.replace('{1,3}', '') }, 'Isolated'), bytesOnly),
      post_processor: byteLevel(),
    }),
  ],
  ['byte-level BPE with possessive loops', cutting(split({ Regex: cl100k }, 'Removed', true))],
  [
    'byte-level BPE with digits in threes from the right',
    cutting(split({ Regex: String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))` }, 'Isolated')),
  ],
  [
    'byte-level BPE with the normalizer of its bytes',
    byteLevelFile({ normalizer: { type: 'ByteLevel' }, pre_tokenizer: null }),
  ],
  ['byte-level BPE without a decoder', byteLevelFile({ decoder: null })],
  [
    'byte-level BPE, tokens around it',
    byteLevelFile({
      post_processor: sequence(
        'processors',
        byteLevel(),
        template([special('both'), text, special('</s>'), special('both')]),
      ),
    }),
  ],
  [
    'BPE as Llama 2',
    file({ normalizer: llamaNormalizer, decoder: llamaDecoder, post_processor: bos, model: spaceModel }),
  ],
  [
    'BPE as Gemma',
    file({
      normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
      pre_tokenizer: split({ String: ' ' }, 'MergedWithPrevious'),
      decoder: sequence(
        'decoders',
        { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
      ),
      post_processor: bos,
      model: spaceModel,
    }),
  ],
  [
    'BPE with Metaspace, first',
    file({ pre_tokenizer: spaces('first', { split: false }), decoder: llamaDecoder, model: spaceModel }),
  ],
  [
    'BPE with Metaspace, first and split',
    file({ pre_tokenizer: spaces('first'), decoder: spaces('first'), model: spaceModel }),
  ],
  [
    'BPE with unknown tokens fused',
    file({ pre_tokenizer: spaces('always'), decoder: spaces('always'), model: unknownModel({ fuse_unk: true }) }),
  ],
  [
    'BPE with unknown tokens apart',
    file({ pre_tokenizer: spaces('never'), decoder: spaces('never'), model: unknownModel({ fuse_unk: false }) }),
  ],
  [
    'BPE that drops what it does not know',
    file({ pre_tokenizer: spaces('never'), decoder: spaces('never'), model: unknownModel({ unk_token: null }) }),
  ],
  [
    'BPE with some byte pieces',
    file({
      decoder: sequence('decoders', { type: 'ByteFallback' }, { type: 'Fuse' }),
      model: {
        ...unknownModel({ byte_fallback: true, fuse_unk: true }),
        vocab: {
          ...(unknownModel({}).vocab as Json),
          ...Object.fromEntries(byteTokens.slice(0x60, 0xc8).map((piece, at) => [piece, 2000 + at])),
        },
      },
    }),
  ],
  [
    'BPE with a suffix at word ends',
    file({
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'WhitespaceSplit' },
      decoder: { type: 'BPEDecoder', suffix: '</w>' },
      model: suffixModel,
    }),
  ],
  [
    'BPE with a prefix inside words',
    file({
      normalizer: { type: 'Lowercase' },
      pre_tokenizer: { type: 'Whitespace' },
      decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
      model: prefixModel,
    }),
  ],
  ['WordPiece as BERT', bertFile({})],
  ['WordPiece, cased', bertFile({ lowercase: false })],
  ['WordPiece, lower case with accents', bertFile({ strip_accents: false })],
  [
    'WordPiece, nothing cleaned',
    bertFile({ clean_text: false, handle_chinese_chars: false, lowercase: false, strip_accents: true }),
  ],
  [
    'WordPiece with short words only',
    bertFile(
      {},
      {
        model: { ...wordPieceModel, max_input_chars_per_word: 4 },
        decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
      },
    ),
  ],
  ['WordLevel', wordFile()],
  [
    'WordLevel with joined tokens',
    wordFile({ decoder: { type: 'Fuse' }, post_processor: template([text, special('</s>')]) }),
  ],
  [
    'WordLevel as CTC',
    wordFile({
      pre_tokenizer: split({ Regex: '' }, 'Isolated'),
      decoder: { type: 'CTC', pad_token: '<pad>', word_delimiter_token: 'a', cleanup: true },
    }),
  ],
  [
    'WordLevel as CTC, not cleaned',
    wordFile({ decoder: { type: 'CTC', pad_token: 'o', word_delimiter_token: '|', cleanup: false } }),
  ],
  [
    'Unigram as T5',
    unigramFile({
      post_processor: template([text, special('</s>')]),
      normalizer: { type: 'Precompiled', precompiled_charsmap: sentencePieceTable },
    }),
  ],
  [
    'Unigram with bytes',
    unigramFile({ model: unigramBytes, decoder: llamaDecoder, normalizer: llamaNormalizer, pre_tokenizer: null }),
  ],
  [
    'Unigram as XLM-R',
    unigramFile({
      normalizer: sequence(
        'normalizers',
        { type: 'Nmt' },
        { type: 'NFKC' },
        { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
      ),
      pre_tokenizer: cuts({ type: 'WhitespaceSplit' }, spaces('always')),
      post_processor: template([special('<s>'), text, special('</s>')]),
    }),
  ],
  ['Unigram with Metaspace, first', unigramFile({ pre_tokenizer: spaces('first'), decoder: spaces('first') })],
  [
    'Unigram with Metaspace, first, behind a cut',
    unigramFile({ pre_tokenizer: cuts({ type: 'WhitespaceSplit' }, spaces('first')), decoder: spaces('first') }),
  ],
  [
    'Unigram with Metaspace of old',
    unigramFile({
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
      decoder: { type: 'Metaspace', replacement: '▁', add_prefix_space: true },
    }),
  ],
  ['NFC', normalizing({ type: 'NFC' })],
  ['NFD', normalizing({ type: 'NFD' })],
  ['NFKC', normalizing({ type: 'NFKC' })],
  ['NFKD', normalizing({ type: 'NFKD' })],
  ['Lowercase', normalizing({ type: 'Lowercase' })],
  ['StripAccents', normalizing(sequence('normalizers', { type: 'NFD' }, { type: 'StripAccents' }))],
  ['Strip on both sides', normalizing({ type: 'Strip', strip_left: true, strip_right: true })],
  ['Strip at the end', normalizing({ type: 'Strip', strip_left: false, strip_right: true })],
  ['Prepend', normalizing({ type: 'Prepend', prepend: '»·' })],
  ['Nmt', normalizing({ type: 'Nmt' })],
  ['Replace a text', normalizing({ type: 'Replace', pattern: { String: 'l' }, content: '$1$&' })],
  [
    'Replace a pattern',
    normalizing({ type: 'Replace', pattern: { Regex: String.raw`(?<=[aeiou])\w|\s+$` }, content: '<$0>' }),
  ],
  ['Precompiled', normalizing({ type: 'Precompiled', precompiled_charsmap: sentencePieceTable })],
  ['Whitespace', cutting({ type: 'Whitespace' })],
  ['WhitespaceSplit', cutting({ type: 'WhitespaceSplit' })],
  ['BertPreTokenizer', cutting({ type: 'BertPreTokenizer' })],
  ...behaviors.map((behavior): [string, Json] => [
    `Punctuation, ${behavior}`,
    cutting({ type: 'Punctuation', behavior }),
  ]),
  ['Digits one by one', cutting({ type: 'Digits', individual_digits: true })],
  ['Digits in runs', cutting({ type: 'Digits', individual_digits: false })],
  ['CharDelimiterSplit', cutting({ type: 'CharDelimiterSplit', delimiter: 'e' })],
  ['UnicodeScripts', cutting({ type: 'UnicodeScripts' })],
  ['FixedLength', cutting({ type: 'FixedLength', length: 3 })],
  [
    'ByteLevel before another step',
    byteLevelFile({ pre_tokenizer: cuts(byteLevel({ add_prefix_space: true }), { type: 'FixedLength', length: 2 }) }),
  ],
  ...splitKinds,
  [
    'added tokens of every manner',
    byteLevelFile({
      added_tokens: [
        ...usual,
        ...numberedTokens([
          ['<extra>', { special: false, lstrip: true, rstrip: true }],
          ['hello', { special: false, single_word: true }],
          ['a-', { special: false }],
          ['<s', { special: false }],
        ]),
      ],
    }),
  ],
  [
    'added tokens in normalized text',
    byteLevelFile({
      normalizer: { type: 'Lowercase' },
      added_tokens: [
        ...usual,
        ...numberedTokens([
          ['HELLO', { special: false, normalized: true }],
          ['fox', { special: false, normalized: true, rstrip: true }],
          ['World', {}],
        ]),
      ],
    }),
  ],
  [
    'decoder with Strip',
    byteLevelFile({
      decoder: sequence(
        'decoders',
        byteLevel(),
        { type: 'Strip', content: 'a', start: 2, stop: 0 },
        { type: 'Replace', pattern: { Regex: '[eo]+' }, content: '0' },
      ),
    }),
  ],
  [
    'decoder that replaces in every token',
    byteLevelFile({
      decoder: sequence(
        'decoders',
        { type: 'Replace', pattern: { String: 'Ġ' }, content: '_' },
        { type: 'Strip', content: '_', start: 1, stop: 0 },
      ),
    }),
  ],
]
