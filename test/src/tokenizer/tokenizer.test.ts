// What every tokenizer must do, checked on the bundled vocabulary read from both kinds of file.

import { describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import fc from '../../fast-check.ts'
import { reference, story, storyFolder, storyFromGguf, storyGguf } from './story.ts'

const LETTERS = 1_000_000

describe.each(Object.entries(reference.models))('%s', (name, prompts) => {
  test.each([
    ['tokenizer.json', createTokenizer(storyFolder(name))],
    ['GGUF metadata', createTokenizer(storyGguf(name))],
  ])('gives the reference ids from %s', (_, tokenizer) => {
    for (const { prompt, prompt_ids } of prompts) expect(tokenizer.encode(prompt)).toEqual(prompt_ids)
  })
})

describe.each([
  ['tokenizer.json', story],
  ['GGUF metadata', storyFromGguf],
])('the story vocabulary from %s', (_, tokenizer) => {
  const backAgain = (text: string) => tokenizer.decode(tokenizer.encode(text))

  test('knows its special tokens', () => {
    expect(tokenizer).toMatchObject({ vocabSize: 4096, bosId: 1, eosIds: [2], unkId: 0, addsBos: true })
    expect([0, 1, 2, 3].map(tokenizer.isSpecial)).toEqual([true, true, true, false])
    expect(tokenizer.idToPiece(2)).toBe('<|eos|>')
    expect(() => tokenizer.idToPiece(4096)).toThrow(/4096 is not a token id/)
    expect(() => tokenizer.decode([-1])).toThrow(/-1 is not a token id/)
  })

  test('encodes nothing as nothing', () => {
    expect(tokenizer.encode('')).toEqual([1])
    expect(tokenizer.encode('', { addBos: false })).toEqual([])
    expect(tokenizer.decode([])).toBe('')
  })

  test('takes the text of a special token as plain text unless asked', () => {
    const plain = tokenizer.encode('a <|eos|><unk> b', { addBos: false })
    expect(plain.some(tokenizer.isSpecial)).toBe(false)
    expect(tokenizer.decode(plain)).toBe('a <|eos|><unk> b')
    const parsed = tokenizer.encode('<|bos|>a<|eos|><|eos|> b', { addBos: false, parseSpecial: true })
    expect(parsed.filter(tokenizer.isSpecial)).toEqual([1, 2, 2])
    expect(tokenizer.decode(parsed)).toBe('a b')
    expect(tokenizer.decode(parsed, { special: true })).toBe('<|bos|>a<|eos|><|eos|> b')
  })

  test('parses special tokens that stand beside half ones', () => {
    const ids = tokenizer.encode('<|<|eos|>eos|><|bos|', { addBos: false, parseSpecial: true })
    expect(ids.filter(tokenizer.isSpecial)).toEqual([2])
    expect(tokenizer.decode(ids, { special: true })).toBe('<|<|eos|>eos|><|bos|')
  })

  test('turns a lone surrogate into U+FFFD and keeps NUL and a byte order mark', () => {
    expect(backAgain('a\ud800b\udc00')).toBe('a�b�')
    expect(backAgain('a\0b\0')).toBe('a\0b\0')
    expect(backAgain('\ufeffa\u0085b\ufeff')).toBe('\ufeffa\u0085b\ufeff')
  })

  test.each(['a', ' ', '!', '\n', 'é', '<'])('takes a megabyte of %j', (letter) => {
    const text = letter.repeat(LETTERS)
    expect(backAgain(text)).toBe(text)
  })

  test('brings every code point back', () => {
    for (let plane = 0; plane < 17; plane++) {
      const points: number[] = []
      // every point of the first plane, every seventh beyond
      for (let point = plane * 0x10000; point < (plane + 1) * 0x10000; point += plane === 0 ? 1 : 7) {
        if (point < 0xd800 || point > 0xdfff) points.push(point)
      }
      const text = String.fromCodePoint(...points.slice(0, 30_000)) + String.fromCodePoint(...points.slice(30_000))
      expect(backAgain(text) === text, `plane ${plane}`).toBe(true)
    }
  })

  test('brings any text back', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => backAgain(text) === text))
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => backAgain(text) === text))
  })

  test('streams what it decodes, never half a character', () => {
    const id = fc.integer({ min: 0, max: tokenizer.vocabSize - 1 })
    fc.assert(
      fc.property(fc.array(id), fc.boolean(), (ids, special) => {
        const stream = tokenizer.streamDecoder({ special })
        const parts = [...ids.map((one) => stream.push(one)), stream.end()]
        expect(parts.join('')).toBe(tokenizer.decode(ids, { special }))
      }),
    )
    const stream = tokenizer.streamDecoder()
    const parts = tokenizer.encode('🦊é', { addBos: false }).map((one) => stream.push(one))
    expect(parts.filter((part) => part !== '')).toEqual(['🦊', 'é'])
    expect(stream.end()).toBe('')
  })

  test('shows U+FFFD for a character that never ends', () => {
    const stream = tokenizer.streamDecoder()
    const [first] = tokenizer.encode('🦊', { addBos: false })
    expect(stream.push(first!)).toBe('')
    expect(stream.end()).toBe('�')
  })

  test('encodes segments with the tokens that the caller placed', () => {
    expect(tokenizer.encodeSegments(['Once ', 'upon', 2, '', '<|eos|>'])).toEqual([
      ...tokenizer.encode('Once upon'),
      2,
      ...tokenizer.encode('<|eos|>', { addBos: false }),
    ])
  })
})

test('both ways in give the same ids', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.lorem(),
    fc.string({ unit: fc.constantFrom(...` \n'ts1é<|eos>`) }),
  )
  fc.assert(fc.property(text, (one) => String(story.encode(one)) === String(storyFromGguf.encode(one))))
})
