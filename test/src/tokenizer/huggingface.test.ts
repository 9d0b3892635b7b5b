// tokenizer.json in its varieties, on small vocabularies written for each case.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-tokenizer-'))
afterAll(() => rmSync(folder, { recursive: true }))
let count = 0

function write(json: unknown): string {
  const path = join(folder, `${count++}.json`)
  writeFileSync(path, typeof json === 'string' ? json : JSON.stringify(json))
  return path
}

function tokenizer(file: object, config?: object) {
  const made = createTokenizer({
    kind: 'huggingface',
    tokenizerJson: write({ normalizer: null, pre_tokenizer: null, post_processor: null, ...file }),
    tokenizerConfig: config && write(config),
  })
  const pieces = (text: string, options = {}) => made.encode(text, options).map(made.idToPiece)
  return { ...made, pieces }
}

const vocab = (...pieces: string[]) => Object.fromEntries(pieces.map((piece, id) => [piece, id]))
const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
const ascii = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index)).concat('Ġ')
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true }

const llama2 = {
  added_tokens: [
    { id: 0, content: '<unk>', special: true },
    { id: 1, content: '<s>', special: true },
    { id: 2, content: '</s>', special: true },
  ],
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } },
  },
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    byte_fallback: true,
    fuse_unk: true,
    unk_token: '<unk>',
    vocab: vocab('<unk>', '<s>', '</s>', ...bytes, '▁', 'a', 'b', '▁a', 'ab'),
    merges: ['▁ a', 'a b'],
  },
}

test('SentencePiece-like BPE with byte fallback', () => {
  const { pieces, encode, decode, eosIds, bosId } = tokenizer(llama2, {
    bos_token: '<s>',
    eos_token: { content: '</s>' },
  })
  expect(pieces('ab é')).toEqual(['<s>', '▁a', 'b', '▁', '<0xC3>', '<0xA9>'])
  expect(decode(encode('ab é'))).toBe('ab é')
  expect(decode(encode(' ab'))).toBe(' ab')
  expect({ bosId, eosIds }).toEqual({ bosId: 1, eosIds: [2] })
  expect(pieces('a</s>', { parseSpecial: true })).toEqual(['<s>', '▁a', '</s>'])
  expect(pieces('</s>')).not.toContain('</s>')
})

test('a megabyte without a word break is one word', () => {
  const { encode, decode } = tokenizer(llama2)
  const text = 'ab '.repeat(350_000)
  expect(decode(encode(text)) === text).toBe(true)
})

test('Llama classes take the ends from tokenizer_config.json', () => {
  const llama = { tokenizer_class: 'LlamaTokenizerFast', bos_token: '<s>', eos_token: '</s>' }
  expect(tokenizer(llama2, { ...llama, add_bos_token: false, add_eos_token: true }).pieces('a')).toEqual(['▁a', '</s>'])
  expect(tokenizer(llama2, { ...llama, tokenizer_class: 'Other', add_bos_token: false }).pieces('a')).toEqual([
    '<s>',
    '▁a',
  ])
})

describe('added tokens', () => {
  const file = (added: object[]) => ({
    added_tokens: added.map((token, index) => ({ id: 200 + index, ...token })),
    pre_tokenizer: byteLevel,
    decoder: { type: 'ByteLevel' },
    model: { type: 'BPE', vocab: vocab(...ascii), merges: [] },
  })
  test('that are not special are found always, the longest where they overlap', () => {
    const { pieces } = tokenizer(
      file([{ content: '<think>' }, { content: '<think' }, { content: 'k>x', special: true }]),
    )
    expect(pieces('<think>x')).toEqual(['<think>', 'x'])
    expect(pieces('<thinkk>x')).toEqual(['<think', 'k', '>', 'x'])
    expect(pieces('<thinkk>x', { parseSpecial: true })).toEqual(['<think', 'k>x'])
  })
  test('take white space beside them where they say so', () => {
    const { pieces } = tokenizer(file([{ content: '<m>', lstrip: true, rstrip: true }]))
    expect(pieces('a  <m> \n b')).toEqual(['a', '<m>', 'b'])
  })
  test('with single_word stand outside of words only', () => {
    const { pieces } = tokenizer(file([{ content: 'ab', single_word: true }]))
    expect(pieces('ab abc _ab!ab')).toEqual(['ab', 'Ġ', 'a', 'b', 'c', 'Ġ', '_', 'a', 'b', '!', 'ab'])
  })
  test('beyond the vocabulary and from tokenizer_config.json count', () => {
    const more = { added_tokens_decoder: { 300: { content: '<extra>', special: true } } }
    const made = tokenizer(file([{ content: '<a>' }]), more)
    expect(made.vocabSize).toBe(301)
    expect(made.encode('<extra>', { parseSpecial: true })).toEqual([300])
    expect(made.decode([250])).toBe('�')
  })
  test('marked as normalized are found in normalized text', () => {
    const { pieces } = tokenizer({ ...file([{ content: 'YES', normalized: true }]), normalizer: { type: 'Lowercase' } })
    expect(pieces('A yEs')).toEqual(['a', 'Ġ', 'YES'])
  })
})

describe('pre-tokenizers', () => {
  const words = (pre_tokenizer: object, text: string) => {
    // a vocabulary without merges shows no words, so that merges of everything adjacent do
    const letters = [...new Set([...text.replaceAll(' ', '▁'), ...text])]
    const all = new Set(letters)
    const merges: [string, string][] = []
    const chars = [...text.replaceAll(' ', '▁')]
    for (let from = 0; from < chars.length; from++) {
      for (let length = 2; from + length <= chars.length; length++) {
        const joined = chars.slice(from, from + length).join('')
        if (!all.has(joined))
          merges.push([joined.slice(0, joined.length - chars[from + length - 1]!.length), chars[from + length - 1]!])
        all.add(joined)
      }
    }
    const model = { type: 'BPE', vocab: vocab(...all), merges }
    const decoder = { type: 'Metaspace' }
    const normalizer = { type: 'Replace', pattern: { String: ' ' }, content: '▁' }
    return tokenizer({ normalizer, pre_tokenizer, decoder, model }).pieces(text)
  }
  test.each([
    ['Digits one by one, of any script', { type: 'Digits', individual_digits: true }, 'a1٢b', ['a', '1', '٢', 'b']],
    ['Digits in runs', { type: 'Digits', individual_digits: false }, 'a12b', ['a', '12', 'b']],
    ['Punctuation apart', { type: 'Punctuation' }, 'a!?b', ['a', '!', '?', 'b']],
    ['Punctuation in runs', { type: 'Punctuation', behavior: 'Contiguous' }, 'a!?b', ['a', '!?', 'b']],
    [
      'Split merged with what is before',
      { type: 'Split', pattern: { String: '-' }, behavior: 'MergedWithPrevious', invert: false },
      'a-b--c',
      ['a-', 'b-', '-', 'c'],
    ],
    [
      'Split merged with what follows',
      { type: 'Split', pattern: { Regex: '-' }, behavior: 'MergedWithNext', invert: false },
      'a-b--c',
      ['a', '-b', '-', '-c'],
    ],
    ['Metaspace that splits', { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never' }, 'ab b', ['ab', '▁b']],
    [
      'Metaspace that does not',
      { type: 'Metaspace', replacement: '▁', prepend_scheme: 'never', split: false },
      'ab b',
      ['ab▁b'],
    ],
  ])('%s', (_, step, text, expected) => expect(words(step, text)).toEqual(expected))

  test('ByteLevel with a space before the text', () => {
    const { pieces } = tokenizer({
      pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, use_regex: true },
      decoder: { type: 'ByteLevel' },
      model: { type: 'BPE', vocab: vocab(...ascii), merges: [] },
    })
    expect(pieces('a b')).toEqual(['Ġ', 'a', 'Ġ', 'b'])
    expect(pieces(' a')).toEqual(['Ġ', 'a'])
  })
})

test('Unigram models', () => {
  const { pieces, decode, encode } = tokenizer({
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
    decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' },
    model: {
      type: 'Unigram',
      unk_id: 0,
      vocab: [
        ['<unk>', 0],
        ['▁', -3],
        ['a', -3],
        ['b', -3],
        ['ab', -4],
        ['▁a', -4],
      ] as const,
    },
  })
  expect(pieces('ab ab')).toEqual(['▁', 'ab', '▁', 'ab'])
  expect(pieces('az')).toEqual(['▁a', '<unk>'])
  expect(decode(encode('ab ab'))).toBe('ab ab')
})

test('chat templates come from the folder, the config or its default entry', () => {
  const chat = (config: object, chatTemplate?: string) =>
    createTokenizer({
      kind: 'huggingface',
      tokenizerJson: write(llama2),
      tokenizerConfig: write(config),
      chatTemplate,
    }).chatTemplate
  expect(chat({})).toBeUndefined()
  expect(chat({ chat_template: 'x' })).toBe('x')
  expect(chat({ chat_template: 'x' }, 'y')).toBe('y')
  const list = [
    { name: 'rag', template: 'r' },
    { name: 'default', template: 'd' },
  ]
  expect(chat({ chat_template: list })).toBe('d')
})

describe('files that cannot be used', () => {
  test.each<[string, unknown, RegExp]>([
    ['not JSON', '{', /bad-tokenizer\]: cannot read/],
    ['no model', {}, /bad-tokenizer\]: model/],
    ['no vocabulary', { model: { type: 'BPE', merges: [] } }, /model.vocab is missing/],
    ['an id that is none', { model: { type: 'BPE', vocab: { a: -1 }, merges: [] } }, /gives 'a' the id -1/],
    ['an unknown model', { model: { type: 'WordPeace', vocab: {} } }, /with model 'WordPeace' is not supported/],
    ['an unknown step', { ...llama2, pre_tokenizer: { type: 'Nonsense' } }, /with pre-tokenizer 'Nonsense' is not/],
    ['an unknown decoder', { ...llama2, decoder: { type: 'Nonsense' } }, /with decoder 'Nonsense' is not supported/],
  ])('%s', (_, json, message) => {
    expect(() => createTokenizer({ kind: 'huggingface', tokenizerJson: write(json) })).toThrow(message)
  })
  test('a missing one', () => {
    expect(() => createTokenizer({ kind: 'huggingface', tokenizerJson: join(folder, 'none') })).toThrow(
      /cannot read .*none/,
    )
  })
})
