// Which tokens end a generation: by key, by name, by the chat template.
import { describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import { endTokens } from '../../../src/tokenizer/end-tokens.ts'
import type { GgufTokenizerSource } from '../../../src/tokenizer/source.ts'

const ends = (
  pieces: string[],
  { special = pieces, eos = [], chatTemplate }: { special?: string[]; eos?: string[]; chatTemplate?: string } = {},
): string[] =>
  endTokens({
    pieces,
    special: new Set(special.map((text) => pieces.indexOf(text))),
    eosIds: eos.map((text) => pieces.indexOf(text)),
    chatTemplate,
  }).map((id) => pieces[id]!)

describe('names', () => {
  const marks =
    '<|eot_id|> <|eom_id|> <|im_end|> <|end|> <end_of_turn> <|endoftext|> <|end_of_text|> <EOT> _<EOT> [EOT] [EOS] <|return|> <|call|> <end_of_utterance> <|eot|> <turn|>'
      .split(' ')
      .concat('<｜end▁of▁sentence｜>')
  test.each(marks)('%s, as a control token or as a normal one', (name) => {
    expect(ends(['a', name])).toEqual([name])
    expect(ends(['a', name], { special: [] })).toEqual([name])
  })
  test.each('</s> <eos> <|fim_pad|> <|file_sep|> <|repo_name|> [PAD]'.split(' '))(
    '%s, as a control token only',
    (name) => {
      expect(ends(['a', name])).toEqual([name])
      expect(ends(['a', name], { special: [] })).toEqual([])
    },
  )
  test.each(
    '<|im_start|> <|start_header_id|> <|assistant|> <think> </think> <unk> <s> im_end <|im_end <|message|>'.split(' '),
  )('%s is none', (name) => expect(ends(['a', name])).toEqual([]))
  test('what files name comes first, and once', () =>
    expect(ends(['<|im_end|>', '<|endoftext|>', 'x'], { eos: ['x', '<|endoftext|>'] })).toEqual([
      'x',
      '<|endoftext|>',
      '<|im_end|>',
    ]))
  test('<|end|> closes a message, not a turn, where <|return|> and <|call|> do', () => {
    expect(ends(['<|end|>', '<|return|>', '<|call|>'])).toEqual(['<|return|>', '<|call|>'])
    expect(ends(['<|end|>', '<|return|>'])).toEqual(['<|end|>', '<|return|>'])
    expect(ends(['<|end|>', '<|return|>', '<|call|>'], { eos: ['<|end|>'] })).toContain('<|end|>')
  })
})

test.each([
  `{{ '<|role|>' + message['role'] + '\\n' + message['content'] + '<|done|>' + '\\n' }}`,
  `{{ message.content | trim + '<|done|>' }}`,
  `{{ message.content }}<|done|>\n`,
  `{{- message["content"] -}}{{ '<|done|>' }}`,
  `{% set content = '<|role|>' + (message['content'] | trim) + '<|done|>' %}`,
])('the template %s puts <|done|> behind an answer', (chatTemplate) => {
  const pieces = ['<|role|>', '<|done|>', '<|other|>', '<|', 'done']
  expect(ends(pieces, { chatTemplate })).toEqual(['<|done|>'])
  expect(ends(pieces, { chatTemplate, special: [] })).toEqual(['<|done|>'])
})
test('what a template puts elsewhere is no end', () => {
  const chatTemplate = `{{ '<|role|>' + message.content + '\\n<|next|>' }}{{ message.reasoning_content + '<|mid|>' }}`
  expect(ends(['<|role|>', '<|next|>', '<|mid|>'], { chatTemplate })).toEqual([])
})

test('of a GGUF file: keys of turns, messages and fill-in-the-middle, names whatever the type', () => {
  const tokens = ['<unk>', '<s>', '</s>', 'a', '▁a', '<|im_end|>', '<|m|>', '<gap>', '<eos>']
  const source: GgufTokenizerSource = {
    ...{ kind: 'gguf', model: 'llama', pre: '', tokens, bos: 1, eos: 2, unk: 0, eot: [6, 7], addSpacePrefix: false },
    scores: new Float32Array(tokens.length),
    tokenTypes: Int32Array.of(2, 3, 3, 1, 1, 1, 3, 4, 4),
  }
  const tokenizer = createTokenizer(source)
  expect(tokenizer.eosIds).toEqual([2, 6, 7, 5])
  // spelt in a text it is text, where special tokens are parsed it is the token, and it is never shown
  expect(tokenizer.encode('a<|im_end|>', { addBos: false, parseSpecial: true })).toEqual([3, 5])
  expect(tokenizer.encode('a<|im_end|>', { addBos: false })).not.toContain(5)
  expect(tokenizer.decode([3, 5])).toBe('a')
})
