// The llama type of GGUF, on a vocabulary small enough to segment by hand.

import { describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import type { GgufTokenizerSource } from '../../../src/tokenizer/source.ts'
import fc from '../../fast-check.ts'

const [NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE] = [1, 2, 3, 4, 5, 6]

function vocabulary(entries: readonly (readonly [string, number, number?])[], more: Partial<GgufTokenizerSource> = {}) {
  const bytes = Array.from({ length: 256 }, (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  const all: (readonly [string, number, number?])[] = [
    ['<unk>', 0, UNKNOWN],
    ['<s>', 0, CONTROL],
    ['</s>', 0, CONTROL],
    ...bytes.map((byte) => [byte, 0, BYTE] as const),
    ...entries,
  ]
  const source: GgufTokenizerSource = {
    kind: 'gguf',
    model: 'llama',
    pre: 'default',
    tokens: all.map(([piece]) => piece),
    scores: Float32Array.from(all, ([, score]) => score),
    tokenTypes: Int32Array.from(all, ([, , type]) => type ?? NORMAL!),
    ...more,
  }
  const tokenizer = createTokenizer(source)
  return {
    source,
    tokenizer,
    pieces: (text: string) => tokenizer.encode(text, { addBos: false }).map(tokenizer.idToPiece),
  }
}

const small: readonly (readonly [string, number, number?])[] = [
  ['▁', -10],
  ['a', -11],
  ['b', -12],
  ['c', -13],
  ['ab', -1],
  ['bc', -2],
  ['▁ab', -4],
  ['abc', -3],
  ['aa', -5],
  ['aaaa', -6],
]

describe('hand-derived segmentations', () => {
  const { pieces } = vocabulary(small)
  test.each([
    ['ab', ['▁ab']], // ab (-1), then ▁+ab (-4)
    ['abc', ['▁', 'abc']], // ab (-1); then ab+c (-3) before ▁+ab (-4)
    ['bc', ['▁', 'bc']],
    ['aaa', ['▁', 'aa', 'a']], // the leftmost of equal pairs first
    ['aaaaa', ['▁', 'aaaa', 'a']],
    ['a b', ['▁', 'a', '▁', 'b']],
    [' ab', ['▁', '▁ab']], // the text's own space stays beside the one that encoding adds
    ['az', ['▁', 'a', '<0x7A>']],
    ['é', ['▁', '<0xC3>', '<0xA9>']],
    ['', []],
  ])('%j', (text, expected) => expect(pieces(text)).toEqual(expected))
})

test('has the defaults of its kind: bos first, space before, ids 0, 1, 2', () => {
  const { tokenizer } = vocabulary(small)
  expect(tokenizer).toMatchObject({ bosId: 1, eosIds: [2], unkId: 0, addsBos: true })
  expect(tokenizer.encode('ab')).toEqual([1, tokenizer.encode('ab', { addBos: false })[0]])
})

test('adds no space where the file says so', () => {
  const { pieces, tokenizer } = vocabulary(small, { addSpacePrefix: false })
  expect(pieces('ab')).toEqual(['ab'])
  expect(tokenizer.decode(tokenizer.encode(' ab'))).toBe(' ab')
})

test('adds a space after a special token, as at the start', () => {
  const { tokenizer } = vocabulary(small)
  const ids = tokenizer.encode('ab</s>ab', { addBos: false, parseSpecial: true })
  expect(ids.map(tokenizer.idToPiece)).toEqual(['▁ab', '</s>', '▁ab'])
})

test('never makes a control token or a byte piece of plain text', () => {
  const letters = ['▁', '<', '/', 's', '>', '0', 'x', '4', '1'].map((letter) => [letter, -1] as const)
  const { tokenizer } = vocabulary([...letters, ['</', -1], ['s>', -1], ['<0x', -1], ['41>', -1]])
  for (const text of ['</s>', '<0x41>', '<unk>']) {
    const ids = tokenizer.encode(text, { addBos: false })
    expect(ids.some((id) => tokenizer.isSpecial(id) || id === 3 + 0x41)).toBe(false)
    expect(tokenizer.decode(ids)).toBe(text)
  }
})

test('finds user-defined tokens in any text, the longest where they overlap', () => {
  const { pieces } = vocabulary([...small, ['<think>', 0, USER], ['<think>a', 0, USER]])
  expect(pieces('b<think>ab')).toEqual(['▁', 'b', '<think>a', '▁', 'b'])
})

test('takes unused pieces apart again', () => {
  const { pieces } = vocabulary([...small, ['cb', -1, UNUSED], ['cba', -1]])
  expect(pieces('cb')).toEqual(['▁', 'c', 'b'])
  expect(pieces('cba')).toEqual(['▁', 'cba'])
})

test('without byte pieces, an unknown character is the unknown token', () => {
  const source: GgufTokenizerSource = {
    ...{ kind: 'gguf', model: 'llama', pre: '', addBos: false, addSpacePrefix: false },
    tokens: ['<unk>', 'a'],
    scores: Float32Array.of(0, -1),
    tokenTypes: Int32Array.of(2, 1),
  }
  expect(createTokenizer(source).encode('aéa')).toEqual([1, 0, 1])
})

test('strips the leading space once, and not from a continuation', () => {
  const { tokenizer } = vocabulary(small)
  const ids = tokenizer.encode(' ab')
  expect(tokenizer.decode(ids)).toBe(' ab')
  expect(tokenizer.decode(ids, { continues: true })).toBe('  ab')
  const stream = tokenizer.streamDecoder()
  expect(ids.map((id) => stream.push(id)).join('')).toBe(' ab')
  const bytes = tokenizer.streamDecoder()
  expect(tokenizer.encode('é', { addBos: false }).map((id) => bytes.push(id))).toEqual(['', '', 'é'])
})

test('merges as the definition does', () => {
  const alphabet = fc.constantFrom('a', 'b', 'c', '▁')
  const piece = fc.string({ unit: alphabet, minLength: 2, maxLength: 4 })
  const extra = fc.uniqueArray(fc.tuple(piece, fc.integer({ min: -5, max: -1 })), {
    selector: ([text]) => text,
    maxLength: 15,
  })
  const letters = ['a', 'b', 'c', '▁'].map((letter) => [letter, -20] as const)
  fc.assert(
    fc.property(
      extra,
      fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), minLength: 1, maxLength: 30 }),
      (more, text) => {
        const { source, pieces } = vocabulary([...letters, ...more])
        expect(pieces(text)).toEqual(naive(source, `▁${text.replaceAll(' ', '▁')}`))
      },
    ),
    { numRuns: 500 },
  )
})

/** Joins the best-scored adjacent pair, the leftmost of equals, until none is a piece. */
function naive({ tokens, scores }: GgufTokenizerSource, text: string): string[] {
  const score = new Map(tokens.map((token, id) => [token, scores![id]!]))
  const list = [...text]
  for (;;) {
    let best = -1
    for (let at = 0; at + 1 < list.length; at++) {
      const joined = score.get(list[at]! + list[at + 1]!)
      if (joined !== undefined && (best < 0 || joined > score.get(list[best]! + list[best + 1]!)!)) best = at
    }
    if (best < 0) return list
    list.splice(best, 2, list[best]! + list[best + 1]!)
  }
}

test.each(['a', ' ', 'é', 'z'])('takes a megabyte of %j', (letter) => {
  const { tokenizer } = vocabulary(small)
  const text = letter.repeat(1_000_000)
  expect(tokenizer.decode(tokenizer.encode(text)) === text).toBe(true)
})
