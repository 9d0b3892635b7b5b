// Tokenizers from the metadata of a GGUF file: byte-level BPE (`gpt2`) and SentencePiece (`llama`).
import { fail } from '../../ir/diagnostic.ts'
import { quoted } from '../../ir/visible-text.ts'
import { type AddedToken, AddedTokenFinder, splitAtTokens } from './added-tokens.ts'
import { BytePairEncoder, cutMerge } from './byte-pair.ts'
import { byteOfPiece, bytesOfPiece, encodeUtf8 } from './bytes.ts'
import { decodingOfPieces } from './detokenize.ts'
import { isEndName } from './end-tokens.ts'
import { preTokenizer, splitWords } from './pre-tokenizers.ts'
import { SentencePieceEncoder, SPACE } from './sentence-piece.ts'
import type { GgufTokenizerSource } from './source.ts'
import type { Steps } from './steps.ts'
import type { Tokenizer } from './tokenizer.ts'
import { type Encoder, makeTokenizer } from './vocabulary.ts'
import { WordEncoder } from './words.ts'

/** tokenizer.ggml.token_type */
const NORMAL = 1
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4
const UNUSED = 5
const BYTE = 6

/** what an id that only the model has stands for */
const replacement = encodeUtf8('�')

export function createGgufTokenizer(source: GgufTokenizerSource): Tokenizer {
  check(source)
  const { tokens } = source
  const isLlama = source.model === 'llama'
  const type = tokenType(source)
  const pre = isLlama ? undefined : preTokenizer(source.pre)

  // llama.cpp's defaults for SentencePiece: <unk> 0, <s> 1, </s> 2
  const orDefault = (id: number | undefined, usual: number, wanted: number) =>
    id ?? (isLlama && usual < tokens.length && type(usual) === wanted ? usual : undefined)
  const bosId = orDefault(source.bos, 1, CONTROL)
  const eosId = orDefault(source.eos, 2, CONTROL)
  const unkId = orDefault(source.unk, 0, UNKNOWN)

  const special = new Set<number>()
  const added: AddedToken[] = []
  const ids = new Map<string, number>()
  const eosIds = new Set<number>([...(eosId === undefined ? [] : [eosId]), ...(source.eot ?? [])])
  tokens.forEach((text, id) => {
    const kind = type(id)
    if (kind === CONTROL || kind === UNKNOWN) special.add(id)
    if (kind === CONTROL || kind === UNKNOWN || kind === USER_DEFINED) {
      added.push({ id, text, special: kind !== USER_DEFINED })
    }
    const reachable = kind === NORMAL || kind === USER_DEFINED || (isLlama && kind === UNUSED)
    if (reachable && text !== '' && !ids.has(text)) ids.set(text, id)
  })

  const encodeText = isLlama ? llamaText(source, ids, unkId, type) : gpt2Text(source, ids, unkId)
  const all = new AddedTokenFinder(added)
  const specials = new AddedTokenFinder(added.filter((token) => token.special))
  const plain = new AddedTokenFinder(added.filter((token) => !token.special))
  const encoder: Encoder = {
    findSpecials: (text) => specials.find(text),
    *encode(segments, parseSpecial) {
      const found: number[] = []
      let afterToken = true // the start counts as one
      for (const segment of segments) {
        const parts =
          typeof segment === 'number' ? [segment] : yield* splitAtTokens(segment, parseSpecial ? all : plain)
        for (const part of parts) {
          if (typeof part === 'number') found.push(part)
          else yield* encodeText(part, afterToken, found)
          afterToken = typeof part === 'number'
        }
      }
      return found
    },
  }

  const bytes: (Uint8Array | undefined)[] = new Array(tokens.length)
  const addBos = source.addBos ?? pre?.addBos ?? isLlama
  return makeTokenizer(
    {
      pieces: tokens,
      special,
      bosId,
      eosIds: [...eosIds],
      unkId,
      prefix: addBos && bosId !== undefined ? [bosId] : [],
      suffix: source.addEos && eosId !== undefined ? [eosId] : [],
      chatTemplate: source.chatTemplate,
      decoding: decodingOfPieces({
        isSpecial: (id) => special.has(id),
        stripLeadingSpace: isLlama && source.addSpacePrefix !== false,
        bytesOf(id) {
          const found = bytes[id] ?? (id < tokens.length ? bytesOf(tokens[id]!, type(id), isLlama) : replacement)
          bytes[id] = found
          return found
        },
      }),
    },
    encoder,
  )
}

function bytesOf(piece: string, kind: number, isLlama: boolean): Uint8Array {
  if (kind === BYTE) return Uint8Array.of(byteOfPiece(piece) ?? 0xfd)
  if (kind !== NORMAL && !(isLlama && kind === USER_DEFINED)) return encodeUtf8(piece)
  return isLlama ? encodeUtf8(piece.replaceAll(SPACE, ' ')) : bytesOfPiece(piece)
}

type EncodeText = (text: string, afterToken: boolean, ids: number[]) => Steps<void>

function gpt2Text(source: GgufTokenizerSource, ids: Map<string, number>, unkId: number | undefined): EncodeText {
  const { patterns, ignoreMerges = false, normalize } = preTokenizer(source.pre)
  const merges = source.merges ?? badTokenizer('a gpt2-type vocabulary needs tokenizer.ggml.merges')
  checkMerges(source.tokens, merges)
  const encoder = new WordEncoder(new BytePairEncoder({ ids, merges, ignoreMerges, unkId }), true)
  return function* (text, _afterToken, found) {
    const normal = normalize ? text.normalize(normalize) : text
    yield* encoder.encode(yield* splitWords(normal, patterns), found)
  }
}

/**
 * A piece of a merge is a token, or what an earlier merge made: files rename or drop tokens (for an end of a turn, say) and
 * keep the merges that led to them, which then never apply.
 */
function checkMerges(tokens: readonly string[], merges: readonly string[]): void {
  const known = new Set(tokens)
  for (const [rank, merge] of merges.entries()) {
    const place = `tokenizer.ggml.merges[${rank}]`
    const cut = cutMerge(merge)
    if (!cut) badTokenizer(`${place} is ${quoted(merge)}, not two pieces with a space between`)
    const missing = cut.find((piece) => !known.has(piece))
    if (missing !== undefined) {
      badTokenizer(`${place} joins ${quoted(missing)}, which tokenizer.ggml.tokens lacks and no merge before it makes`)
    }
    known.add(cut.join(''))
  }
}

function llamaText(
  source: GgufTokenizerSource,
  ids: Map<string, number>,
  unkId: number | undefined,
  type: (id: number) => number,
): EncodeText {
  const scores = source.scores ?? badTokenizer('a llama-type vocabulary needs tokenizer.ggml.scores')
  const byteIds: (number | undefined)[] = new Array(256)
  source.tokens.forEach((piece, id) => {
    const byte = type(id) === BYTE ? byteOfPiece(piece) : undefined
    if (byte !== undefined) byteIds[byte] ??= id
  })
  const isUnused = (id: number) => type(id) === UNUSED
  const encoder = new SentencePieceEncoder({ ids, scores, byteIds, unkId, isUnused })
  const prefix = source.addSpacePrefix === false ? '' : SPACE
  return function* (text, afterToken, found) {
    if (text !== '') yield* encoder.encode((afterToken ? prefix : '') + text.replaceAll(' ', SPACE), found)
  }
}

/**
 * Without token types, the tokens named by keys are control tokens and the rest are normal. A token whose name is an end of
 * a turn is a control token whatever its type: converters forget it, and templates spell it.
 */
function tokenType(source: GgufTokenizerSource): (id: number) => number {
  const types = source.tokenTypes
  if (types) return (id) => (types[id] !== UNKNOWN && isEndName(source.tokens[id]!) ? CONTROL : types[id]!)
  const control = new Set([source.bos, source.eos, ...(source.eot ?? [])])
  return (id) => {
    if (id === source.unk) return UNKNOWN
    if (control.has(id) || isEndName(source.tokens[id]!)) return CONTROL
    return source.model === 'llama' && byteOfPiece(source.tokens[id]!) !== undefined ? BYTE : NORMAL
  }
}

function check(source: GgufTokenizerSource): void {
  const count = source.tokens.length
  if (count === 0) badTokenizer('tokenizer.ggml.tokens is empty')
  if (count >= 2 ** 24) badTokenizer(`tokenizer.ggml.tokens has ${count} entries, at most ${2 ** 24 - 1} are supported`)
  for (const [key, values] of [
    ['scores', source.scores],
    ['token_type', source.tokenTypes],
  ] as const) {
    if (values && values.length !== count) {
      badTokenizer(`tokenizer.ggml.${key} has ${values.length} entries for ${count} tokens`)
    }
  }
  for (const [key, id] of [
    ['bos_token_id', source.bos],
    ['eos_token_id', source.eos],
    ['unknown_token_id', source.unk],
    ...(source.eot ?? []).map((eot) => ['eot_token_id', eot] as const),
  ] as const) {
    if (id !== undefined && !(Number.isInteger(id) && id >= 0 && id < count)) {
      badTokenizer(`tokenizer.ggml.${key} is ${id}, outside the ${count} tokens`)
    }
  }
}

function badTokenizer(message: string): never {
  return fail({ code: 'bad-tokenizer', message, help: 'the file is damaged or was converted wrongly: get it again' })
}
