import { describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import { preTokenizer, preTokenizerNames, splitWords } from '../../../src/tokenizer/pre-tokenizers.ts'
import type { GgufTokenizerSource } from '../../../src/tokenizer/source.ts'
import { finish } from '../../../src/tokenizer/steps.ts'
import { storyGguf } from './story.ts'

const source = storyGguf('story-3m')
const words = (name: string, text: string) => finish(splitWords(text, preTokenizer(name).patterns))

describe('pre-tokenizers', () => {
  test.each([
    ['gpt-2', "It's 2024,  ok", ['It', "'s", ' 2024', ',', ' ', ' ok']],
    ['gpt-2', "IT'S", ['IT', "'", 'S']],
    ['llama-bpe', "IT'S 12345!\n\n  x", ['IT', "'S", ' ', '123', '45', '!\n\n', ' ', ' x']],
    ['qwen2', 'a 123', ['a', ' ', '1', '2', '3']],
    ['smollm', 'a 12 b', ['a', ' ', '1', '2', ' b']],
    ['deepseek-v3', 'a1234 中文x', ['a', '123', '4', ' ', '中文', 'x']],
    ['deepseek-coder', 'a b\n12', ['a', ' b', '\n', '1', '2']],
    ['default', 'a+b 1234', ['a', '+', 'b', ' ', '123', '4']],
    ['tekken', 'camelCase', ['camel', 'Case']],
    ['gpt-4o', "HTTPServer's 1234", ["HTTPServer's", ' ', '123', '4']],
    ['', 'a 1', ['a', ' ', '1']],
  ])('%s cuts %j', (name, text, expected) => expect(words(name, text)).toEqual(expected))

  test.each(preTokenizerNames)('%s loses nothing', (name) => {
    const text = "Hi, it's\r\n\t 12345 «été» 中文かな한국 🦊\u0085\ufeff \n\n <|x|> _a_b `c` ~\0"
    expect(words(name, text).join('')).toBe(text)
    expect(words(name, '')).toEqual([])
  })

  test('an unknown one is an error that lists what is known', () => {
    expect(() => createTokenizer({ ...source, pre: 'gpt-9' })).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[unknown-pre-tokenizer]: the file asks for the pre-tokenizer 'gpt-9', which is not known
        key    tokenizer.ggml.pre
        known  default, gpt-2, mpt, olmo, jais, trillion, phi-2, llama-bpe, llama3, llama-v3, falcon3, pixtral, dbrx, smaug-bpe, qwen2, stablelm2, deepseek-r1-qwen, megrez, smollm, starcoder, refact, command-r, codeshell, exaone, minerva-7b, falcon, deepseek-llm, deepseek-coder, deepseek-v3, hunyuan-dense, tekken, gpt-4o
        help: load the model from its Hugging Face folder, whose tokenizer.json describes the pre-tokenizer in full]
    `)
  })
})

test('bos comes first where the file or its pre-tokenizer says so', () => {
  const { addBos: _, ...silent } = source
  expect(createTokenizer(silent).encode('a', {}).length).toBe(1)
  expect(createTokenizer({ ...silent, pre: 'llama-bpe' }).encode('a')[0]).toBe(1)
  expect(createTokenizer({ ...source, pre: 'llama-bpe', addBos: false }).encode('a').length).toBe(1)
  expect(
    createTokenizer({ ...source, addEos: true })
      .encode('a')
      .at(-1),
  ).toBe(2)
  expect(() => createTokenizer({ ...source, bos: undefined }).encode('a', { addBos: true })).toThrow(/no beginning/)
})

test('a word that is a token stays whole where merging is to be skipped, but never becomes a special token', () => {
  const tokens = ['a', 'b', 'ab', 'eos']
  const tokenTypes = Int32Array.of(1, 1, 1, 3)
  const tiny: GgufTokenizerSource = {
    kind: 'gguf',
    model: 'gpt2',
    pre: 'gpt-2',
    tokens,
    tokenTypes,
    merges: [],
    eos: 3,
  }
  expect(createTokenizer(tiny).encode('ab')).toEqual([0, 1])
  const llama = createTokenizer({ ...tiny, pre: 'llama-bpe', addBos: false })
  expect(llama.encode('ab')).toEqual([2])
  expect(llama.encode('eos')).not.toContain(3)
})

test('further tokens that end a turn are found by name', () => {
  const tokens = [...source.tokens, '<|im_end|>', '<|im_start|>']
  const tokenTypes = Int32Array.from([...source.tokenTypes!, 3, 3])
  const chat = createTokenizer({ ...source, tokens, tokenTypes, eot: [4] })
  expect(chat.eosIds).toEqual([2, 4, 4096])
})

test('works without token types', () => {
  const { tokenTypes: _, ...untyped } = source
  const tokenizer = createTokenizer(untyped)
  expect(tokenizer.encode('<|eos|>', { addBos: false })).not.toContain(2)
  expect(tokenizer.encode('<|eos|>', { addBos: false, parseSpecial: true })).toEqual([2])
})

test('an id that only the model has decodes to U+FFFD', () => {
  expect(createTokenizer(source).decode([5000])).toBe('�')
})

describe('damaged metadata', () => {
  test.each<[string, Partial<GgufTokenizerSource>, RegExp]>([
    ['no tokens', { tokens: [] }, /tokens is empty/],
    ['scores of another length', { scores: Float32Array.of(1) }, /scores has 1 entries for 4096 tokens/],
    ['types of another length', { tokenTypes: Int32Array.of(1) }, /token_type has 1 entries/],
    ['bos outside', { bos: 4096 }, /bos_token_id is 4096, outside the 4096 tokens/],
    ['eos below', { eos: -1 }, /eos_token_id is -1/],
    ['a merge without a space', { merges: ['ab'] }, /merges\[0\] is 'ab'/],
    ['no merges', { merges: undefined }, /needs tokenizer.ggml.merges/],
    ['no scores', { model: 'llama' }, /needs tokenizer.ggml.scores/],
  ])('%s', (_, change, message) => {
    expect(() => createTokenizer({ ...source, ...change })).toThrow(message)
  })
})
