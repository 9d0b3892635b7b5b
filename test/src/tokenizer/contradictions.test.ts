// Files whose parts contradict each other, or are of another type than they should be: one error that says what and where.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import type { GgufTokenizerSource } from '../../../src/tokenizer/source.ts'

type Json = Readonly<Record<string, unknown>>

const home = process.cwd()
const folder = mkdtempSync(join(tmpdir(), 'rocmforge-contradictions-'))
beforeAll(() => process.chdir(folder))
afterAll(() => {
  process.chdir(home)
  rmSync(folder, { recursive: true })
})

function refusal(file: unknown, config?: Json): string {
  writeFileSync('tokenizer.json', JSON.stringify(file))
  if (config) writeFileSync('tokenizer_config.json', JSON.stringify(config))
  try {
    createTokenizer({
      kind: 'huggingface',
      tokenizerJson: 'tokenizer.json',
      tokenizerConfig: config && 'tokenizer_config.json',
    })
  } catch (error) {
    const { code, summary } = error as Diagnostic
    return `${code}: ${summary}`
  }
  return expect.unreachable('the file was accepted')
}

const vocab = { '<s>': 0, a: 1, b: 2, ab: 3, ' ': 4 }
const model = { type: 'BPE', vocab, merges: [['a', 'b']] }
const start = { id: 0, content: '<s>', special: true }
const file = { added_tokens: [start], model }
const template = (single: unknown, special_tokens: Json = { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } }) => ({
  ...file,
  post_processor: { type: 'TemplateProcessing', single, pair: [], special_tokens },
})
const text = { Sequence: { id: 'A', type_id: 0 } }
const bos = { SpecialToken: { id: '<s>', type_id: 0 } }
const unigram = (more: Json) => ({
  model: {
    type: 'Unigram',
    vocab: [
      ['a', -1],
      ['b', -2],
    ],
    ...more,
  },
})

test('an accepted file, of which the others are variants', () => {
  expect(() => refusal(file)).toThrow(/was accepted/)
  expect(() => refusal(template([bos, text]))).toThrow(/was accepted/)
})

test.each<[string, unknown]>([
  ['two pieces with one id', { model: { ...model, vocab: { ...vocab, c: 2 } } }],
  ['an id that is none', { model: { ...model, vocab: { ...vocab, c: 1.5 } } }],
  ['an id far beyond', { model: { ...model, vocab: { ...vocab, c: 2 ** 30 } } }],
  ['a vocabulary of texts', { model: { ...model, vocab: { a: 'b' } } }],
  ['a vocabulary that is a list', { model: { ...model, vocab: ['a'] } }],
  ['a merge of an unknown piece', { model: { ...model, merges: [['a', 'x']] } }],
  ['a merge into an unknown piece', { model: { ...model, merges: ['b a'] } }],
  ['a merge of one piece', { model: { ...model, merges: ['ab'] } }],
  ['a merge that is a number', { model: { ...model, merges: [1] } }],
  ['merges that are none', { model: { ...model, merges: 'a b' } }],
  ['an unknown token that is unknown', { model: { ...model, unk_token: '<unk>' } }],
  ['an unknown token that is a number', { model: { ...model, unk_token: 7 } }],
  ['a dropout that is no probability', { model: { ...model, dropout: 2 } }],
  ['an added token with the id of another', { ...file, added_tokens: [start, { id: 0, content: '</s>' }] }],
  ['an added token with two ids', { ...file, added_tokens: [start, { id: 9, content: 'x' }, { id: 8, content: 'x' }] }],
  ['an added token with the id of a piece', { ...file, added_tokens: [{ id: 1, content: 'x' }] }],
  ['an added token that the vocabulary has elsewhere', { ...file, added_tokens: [{ id: 9, content: 'a' }] }],
  ['an added token without an id', { ...file, added_tokens: [{ content: 'x' }] }],
  ['an added token without a text', { ...file, added_tokens: [{ id: 9 }] }],
  ['an added token whose flag is a text', { ...file, added_tokens: [{ ...start, special: 'yes' }] }],
  ['added tokens that are none', { ...file, added_tokens: {} }],
  ['an unknown id beyond the pieces', unigram({ unk_id: 2 })],
  ['an unknown id below 0', unigram({ unk_id: -1 })],
  ['a piece without a score', unigram({ vocab: [['a', -1], ['b']] })],
  [
    'a piece twice',
    unigram({
      vocab: [
        ['a', -1],
        ['a', -2],
      ],
    }),
  ],
  ['an empty list of pieces', unigram({ vocab: [] })],
  ['a Unigram model with a table', { model: { ...model, type: 'Unigram' } }],
  ['a WordPiece model without its unknown token', { model: { type: 'WordPiece', vocab } }],
  ['a template with a token that is not listed', template([bos, text, { SpecialToken: { id: '</s>' } }])],
  ['a template with another id', template([bos, text], { '<s>': { id: '<s>', ids: [1], tokens: ['<s>'] } })],
  ['a template with an unknown token', template([bos, text], { '<s>': { id: '<s>', ids: [7], tokens: ['<x>'] } })],
  ['a template with ids without tokens', template([bos, text], { '<s>': { id: '<s>', ids: [0, 1], tokens: ['<s>'] } })],
  ['a template without the text', template([bos])],
  ['a template with the text twice', template([text, text])],
  ['a template with a second text', template([text, { Sequence: { id: 'B' } }])],
  ['a template that is a text', template('$A')],
  [
    'BERT ends with another id',
    { ...file, post_processor: { type: 'BertProcessing', cls: ['<s>', 0], sep: ['a', 2] } },
  ],
  [
    'RoBERTa ends that are unknown',
    { ...file, post_processor: { type: 'RobertaProcessing', cls: ['<s>', 0], sep: ['x', 1] } },
  ],
  [
    'two templates',
    {
      ...file,
      post_processor: {
        type: 'Sequence',
        processors: [template([text]).post_processor, template([text]).post_processor],
      },
    },
  ],
  [
    'Metaspace at odds with itself',
    {
      ...file,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', add_prefix_space: false, prepend_scheme: 'always' },
    },
  ],
  ['Metaspace with two characters', { ...file, pre_tokenizer: { type: 'Metaspace', replacement: '__' } }],
  ['an unknown behaviour', { ...file, pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'Kept' } }],
  ['a Split without a pattern', { ...file, pre_tokenizer: { type: 'Split', behavior: 'Isolated' } }],
  ['pieces of no length', { ...file, pre_tokenizer: { type: 'FixedLength', length: 0 } }],
  ['a step without a type', { ...file, normalizer: {} }],
  ['a step that is a text', { ...file, normalizer: 'NFC' }],
  ['an unknown normalizer', { ...file, normalizer: { type: 'NFX' } }],
  [
    'an unknown step in a sequence',
    { ...file, decoder: { type: 'Sequence', decoders: [{ type: 'Fuse' }, { type: 'Melt' }] } },
  ],
  ['a table that is not base64', { ...file, normalizer: { type: 'Precompiled', precompiled_charsmap: '?' } }],
  ['a table that is cut off', { ...file, normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAEAAAA=' } }],
  ['another version', { ...file, version: '2.0' }],
  ['a model that is a text', { model: 'BPE' }],
  ['a list', []],
  [
    'control characters in a name',
    { ...file, added_tokens: [{ id: 1, content: `\u001b[2J\u202e${'x'.repeat(200)}` }] },
  ],
])('%s', (_, json) => expect(refusal(json)).toMatchSnapshot())

test('tokenizer_config.json at odds with tokenizer.json', () => {
  const decoder = (id: string, content: unknown) => refusal(file, { added_tokens_decoder: { [id]: { content } } })
  expect(decoder('9', 'a')).toMatchInlineSnapshot(
    `"bad-tokenizer: added_tokens_decoder['9'] of tokenizer_config.json gives 'a' the id 9, elsewhere the file gives it 1"`,
  )
  expect(decoder('x', 'y')).toMatchInlineSnapshot(
    `"bad-tokenizer: added_tokens_decoder['x'] of tokenizer_config.json is not the id of a token"`,
  )
  expect(decoder('9', 7)).toMatchInlineSnapshot(
    `"bad-tokenizer: added_tokens_decoder['9'] of tokenizer_config.json.content is 7, not a text"`,
  )
  expect(refusal(file, { bos_token: 7 })).toMatchInlineSnapshot(
    `"bad-tokenizer: tokenizer_config.json.bos_token is 7, not a text"`,
  )
})

test('an error in full: what, where, what to do', () => {
  writeFileSync('tokenizer.json', JSON.stringify({ model: { ...model, merges: [['a', 'x']] } }))
  expect(() =>
    createTokenizer({ kind: 'huggingface', tokenizerJson: 'tokenizer.json' }),
  ).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[bad-tokenizer]: model.merges[0] joins 'x', which model.vocab lacks
      at     tokenizer.json
      help: the file contradicts itself: get it again, or the one it was converted from]
  `)
})

test('a character without a piece where there is no unknown token', () => {
  writeFileSync('tokenizer.json', JSON.stringify(unigram({})))
  const { encode } = createTokenizer({ kind: 'huggingface', tokenizerJson: 'tokenizer.json' })
  expect(encode('ab')).toEqual([0, 1])
  expect(() => encode('abc')).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[unknown-character]: the vocabulary has no piece for 'c' and no unknown token
      in     'abc'
      help: leave the character out, or use a tokenizer.json whose model has an unk_id]
  `)
})

describe('GGUF', () => {
  const source: GgufTokenizerSource = {
    ...{ kind: 'gguf', model: 'gpt2', pre: 'gpt-2', tokens: ['<s>', 'a', 'b', 'ab'], bos: 0 },
    tokenTypes: Int32Array.of(3, 1, 1, 1),
    merges: ['a b'],
  }
  test.each<[string, Partial<GgufTokenizerSource>]>([
    ['a merge of an unknown piece', { merges: ['a x'] }],
    ['a merge of one piece', { merges: ['ab'] }],
    ['types for other tokens', { tokenTypes: Int32Array.of(1) }],
    ['scores for other tokens', { model: 'llama', scores: Float32Array.of(1) }],
    ['an id beyond the tokens', { bos: 4 }],
    ['an end beyond the tokens', { eot: [4] }],
  ])('%s', (_, more) => {
    expect(() => createTokenizer(source)).not.toThrow()
    expect(() => createTokenizer({ ...source, ...more })).toThrowErrorMatchingSnapshot()
  })

  test('merges that led to a token which was renamed are kept, and never apply', () => {
    const renamed = createTokenizer({ ...source, tokens: ['<s>', 'a', 'b', '<|im_end|>'], merges: ['a b', 'ab a'] })
    expect(renamed.encode('aba', { addBos: false })).toEqual([1, 2, 1])
  })
})

test('replacements that multiply a text again and again end in an error, not the process', () => {
  const tenfold = { type: 'Replace', pattern: { String: 'a' }, content: 'a'.repeat(10) }
  const normalizer = { type: 'Sequence', normalizers: Array.from({ length: 30 }, () => tenfold) }
  writeFileSync('tokenizer.json', JSON.stringify({ ...file, normalizer }))
  const tokenizer = createTokenizer({ kind: 'huggingface', tokenizerJson: 'tokenizer.json' })
  expect(() => tokenizer.encode('a')).toThrow(/normalizer\S* makes more than 33554432 characters of a text/)
})
