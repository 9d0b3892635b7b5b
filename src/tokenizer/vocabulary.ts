// What both kinds of tokenizer share once the file is read: special ids, the ends that encoding adds, and decoding.
import { fail } from '../../ir/diagnostic.ts'
import { encodeUtf8 } from './bytes.ts'
import { decodePieces, type Pieces, streamPieces } from './detokenize.ts'
import { endTokens } from './end-tokens.ts'
import type { EncodeOptions, Segment, SpecialMatch, Tokenizer } from './tokenizer.ts'

export interface VocabularyData {
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
  readonly stripLeadingSpace: boolean
  readonly chatTemplate: string | undefined
  bytesOf(piece: string, id: number): Uint8Array
}

export interface Encoder {
  /** cuts the special tokens out of a text */
  splitSpecials(text: string): Segment[]
  findSpecials(text: string): SpecialMatch[]
  /** encodes segments without the ends */
  encodeSegments(segments: readonly Segment[]): number[]
}

const replacement = encodeUtf8('�')

export function makeTokenizer(data: VocabularyData, encoder: Encoder): Tokenizer {
  const bytes: (Uint8Array | undefined)[] = new Array(data.pieces.length)
  const pieces: Pieces = {
    stripLeadingSpace: data.stripLeadingSpace,
    isSpecial: (id) => data.special.has(id),
    bytesOf(id) {
      if (!Number.isSafeInteger(id) || id < 0) badId(id, data.pieces.length)
      const piece = data.pieces[id]
      // Models pad their vocabulary: such an id can be sampled and stands for nothing.
      if (piece === undefined) return replacement
      const found = bytes[id] ?? data.bytesOf(piece, id)
      bytes[id] = found
      return found
    },
  }
  const withEnds = (ids: number[], { addBos }: Pick<EncodeOptions, 'addBos'>): number[] => {
    if (addBos === false) return ids
    let prefix = data.prefix
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
  return {
    vocabSize: data.pieces.length,
    bosId: data.bosId,
    eosIds: endTokens(data),
    unkId: data.unkId,
    addsBos: data.bosId !== undefined && data.prefix.includes(data.bosId),
    chatTemplate: data.chatTemplate,
    encode(text, options = {}) {
      const whole = wellFormed(text)
      return withEnds(encoder.encodeSegments(options.parseSpecial ? encoder.splitSpecials(whole) : [whole]), options)
    },
    encodeSegments(segments, options = {}) {
      const joined: Segment[] = []
      for (const segment of segments) {
        const last = joined.at(-1)
        if (typeof segment === 'string' && typeof last === 'string') joined[joined.length - 1] = last + segment
        else if (segment !== '') joined.push(segment)
      }
      const whole = joined.map((segment) => (typeof segment === 'string' ? wellFormed(segment) : segment))
      return withEnds(encoder.encodeSegments(whole), options)
    },
    findSpecials: (text) => encoder.findSpecials(text),
    decode: (ids, options) => decodePieces(pieces, ids, options),
    streamDecoder: (options) => streamPieces(pieces, options),
    idToPiece: (id) => data.pieces[id] ?? badId(id, data.pieces.length),
    isSpecial: (id) => data.special.has(id),
  }
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
