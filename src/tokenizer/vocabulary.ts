// What every kind of tokenizer shares once its file is read: special ids, the ends that encoding adds, and checks of ids.
import { fail } from '../../ir/diagnostic.ts'
import { endTokens } from './end-tokens.ts'
import { finish, finishInSlices, type Steps } from './steps.ts'
import type { DecodeOptions, EncodeOptions, Segment, SpecialMatch, StreamDecoder, Tokenizer } from './tokenizer.ts'

interface VocabularyData {
  /** piece of each id; holes are unused ids */
  readonly pieces: readonly (string | undefined)[]
  readonly special: ReadonlySet<number>
  readonly bosId: number | undefined
  /** ids that the files name as ends, the main one first */
  readonly eosIds: readonly number[]
  readonly unkId: number | undefined
  /** what encoding puts before and after a text when not told otherwise */
  readonly prefix: readonly number[]
  readonly suffix: readonly number[]
  readonly chatTemplate: string | undefined
  readonly decoding: Decoding
}

/** Ids to text; ids are of the vocabulary. */
export interface Decoding {
  decode(ids: Iterable<number>, options: DecodeOptions): string
  stream(options: DecodeOptions): StreamDecoder
}

export interface Encoder {
  findSpecials(text: string): SpecialMatch[]
  /** ids of segments without the ends; `parseSpecial`: special tokens that texts spell are tokens */
  encode(segments: readonly Segment[], parseSpecial: boolean): Steps<number[]>
}

export function makeTokenizer(data: VocabularyData, encoder: Encoder): Tokenizer {
  const vocabSize = data.pieces.length
  // models pad their vocabulary: an id beyond it can be sampled and stands for nothing
  const check = (id: number): number => (Number.isSafeInteger(id) && id >= 0 ? id : badId(id, vocabSize))
  function* encodeText(text: string, options: EncodeOptions): Steps<number[]> {
    const ids = yield* encoder.encode(text === '' ? [] : [wellFormed(text)], options.parseSpecial ?? false)
    return withEnds(data, ids, options)
  }
  function* encodeSegments(segments: readonly Segment[], options: EncodeOptions): Steps<number[]> {
    const joined: Segment[] = []
    for (const segment of segments) {
      const last = joined.at(-1)
      if (typeof segment === 'string' && typeof last === 'string') joined[joined.length - 1] = last + segment
      else if (segment !== '') joined.push(segment)
    }
    const whole = joined.map((segment) => (typeof segment === 'string' ? wellFormed(segment) : segment))
    return withEnds(data, yield* encoder.encode(whole, false), options)
  }
  return {
    vocabSize,
    bosId: data.bosId,
    eosIds: endTokens(data),
    unkId: data.unkId,
    addsBos: data.bosId !== undefined && data.prefix.includes(data.bosId),
    chatTemplate: data.chatTemplate,
    encode: (text, options = {}) => finish(encodeText(text, options)),
    encodeAsync: (text, options = {}) => finishInSlices(encodeText(text, options)),
    encodeSegments: (segments, options = {}) => finish(encodeSegments(segments, options)),
    encodeSegmentsAsync: (segments, options = {}) => finishInSlices(encodeSegments(segments, options)),
    findSpecials: (text) => encoder.findSpecials(text),
    decode: (ids, options = {}) => data.decoding.decode(Array.from(ids, check), options),
    streamDecoder(options = {}) {
      const stream = data.decoding.stream(options)
      return { push: (id) => stream.push(check(id)), end: () => stream.end() }
    },
    idToPiece: (id) => data.pieces[id] ?? badId(id, vocabSize),
    isSpecial: (id) => data.special.has(id),
  }
}

function withEnds(data: VocabularyData, ids: number[], { addBos }: EncodeOptions): number[] {
  if (addBos === false) return ids
  let { prefix } = data
  if (addBos && data.bosId === undefined) {
    fail({
      code: 'no-bos-token',
      message: 'this vocabulary has no beginning-of-sequence token',
      help: 'encode without addBos',
    })
  }
  if (addBos && !prefix.includes(data.bosId!)) prefix = [data.bosId!, ...prefix]
  return [...prefix].concat(ids, data.suffix)
}

/** A lone surrogate has no UTF-8: it becomes U+FFFD before anything looks at the text. */
const wellFormed = (text: string) => text.replace(/\p{Surrogate}/gu, '�')

function badId(id: number, vocabSize: number): never {
  return fail({
    code: 'bad-token-id',
    message: `${id} is not a token id of this model`,
    facts: [['ids', `whole numbers from 0 to ${vocabSize - 1}`]],
  })
}
