// The tokenizer as scripts see it: what they hand over is checked first.
import { fail } from '../../ir/diagnostic.ts'
import { shown } from '../../ir/shown.ts'
import type { Tokenizer } from './tokenizer.ts'

export function checkedTokenizer(inner: Tokenizer): Tokenizer {
  const known = (id: unknown): void => {
    if (typeof id !== 'number' || !Number.isInteger(id) || id < 0 || id >= inner.vocabSize)
      fail({
        code: 'bad-token',
        message: `token ${shown(id)} is outside the vocabulary of ${inner.vocabSize}`,
        help: 'ids count from 0; `tokenizer.encode(text)` gives those of a text',
      })
  }
  const list = (ids: unknown): number[] => {
    const isList = typeof ids === 'object' && ids !== null && Symbol.iterator in ids
    if (!isList) wrong('ids', ids, 'token ids: an array, or what else can be iterated')
    const all = [...(ids as Iterable<number>)]
    all.forEach(known)
    return all
  }
  const checkSegments = (segments: unknown): void => {
    if (!Array.isArray(segments)) wrong('segments', segments, 'an array of texts and token ids')
    for (const segment of segments as unknown[]) if (typeof segment !== 'string') known(segment)
  }
  return {
    vocabSize: inner.vocabSize,
    bosId: inner.bosId,
    eosIds: inner.eosIds,
    unkId: inner.unkId,
    addsBos: inner.addsBos,
    chatTemplate: inner.chatTemplate,
    encode(text, options = {}) {
      if (typeof text !== 'string') wrong('text', text, 'a text')
      checkRecord(options)
      return inner.encode(text, options)
    },
    async encodeAsync(text, options = {}) {
      if (typeof text !== 'string') wrong('text', text, 'a text')
      checkRecord(options)
      return inner.encodeAsync(text, options)
    },
    encodeSegments(segments, options = {}) {
      checkSegments(segments)
      checkRecord(options)
      return inner.encodeSegments(segments, options)
    },
    async encodeSegmentsAsync(segments, options = {}) {
      checkSegments(segments)
      checkRecord(options)
      return inner.encodeSegmentsAsync(segments, options)
    },
    findSpecials(text) {
      if (typeof text !== 'string') wrong('text', text, 'a text')
      return inner.findSpecials(text)
    },
    decode(ids, options = {}) {
      checkRecord(options)
      return inner.decode(list(ids), options)
    },
    streamDecoder(options = {}) {
      checkRecord(options)
      const decoder = inner.streamDecoder(options)
      return {
        push(id) {
          known(id)
          return decoder.push(id)
        },
        end: () => decoder.end(),
      }
    },
    idToPiece(id) {
      known(id)
      return inner.idToPiece(id)
    },
    isSpecial(id) {
      known(id)
      return inner.isSpecial(id)
    },
  }
}

const wrong = (name: string, got: unknown, expected: string): never =>
  fail({
    code: 'bad-argument',
    message: `${name} is ${shown(got)}`,
    facts: [['expected', expected]],
    help: "tokenizer.encode('Once upon a time'), tokenizer.decode([1, 403])",
  })

function checkRecord(options: unknown): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) wrong('options', options, 'an object')
}
