// Tokenizers from the metadata of a GGUF file: byte-level BPE (`gpt2`) and SentencePiece (`llama`).
import { fail } from '../../ir/diagnostic.ts'
import { type AddedToken, AddedTokenFinder, splitAtTokens } from './added-tokens.ts'
import { BytePairEncoder } from './byte-pair.ts'
import { byteOfPiece, bytesOfPiece, byteToChar, encodeUtf8 } from './bytes.ts'
import { isEndName } from './end-tokens.ts'
import { preTokenizer, splitWords } from './pre-tokenizers.ts'
import { SentencePieceEncoder, SPACE } from './sentence-piece.ts'
import type { GgufTokenizerSource } from './source.ts'
import type { Segment, Tokenizer } from './tokenizer.ts'
import { type Encoder, makeTokenizer } from './vocabulary.ts'

/** tokenizer.ggml.token_type */
const NORMAL = 1
const UNKNOWN = 2
const CONTROL = 3
const USER_DEFINED = 4
const UNUSED = 5
const BYTE = 6

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
    splitSpecials: (text) => splitAtTokens(text, all),
    findSpecials: (text) => specials.find(text),
    encodeSegments(segments) {
      const found: number[] = []
      let afterToken = true // the start counts as one
      const emit = (segment: Segment) => {
        if (typeof segment === 'number') found.push(segment)
        else encodeText(segment, afterToken, found)
        afterToken = typeof segment === 'number'
      }
      for (const segment of segments) {
        if (typeof segment === 'number') emit(segment)
        else splitAtTokens(segment, plain).forEach(emit)
      }
      return found
    },
  }

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
      stripLeadingSpace: isLlama && source.addSpacePrefix !== false,
      chatTemplate: source.chatTemplate,
      bytesOf(piece, id) {
        const kind = type(id)
        if (kind === BYTE) return Uint8Array.of(byteOfPiece(piece) ?? 0xfd)
        if (kind !== NORMAL && !(isLlama && kind === USER_DEFINED)) return encodeUtf8(piece)
        return isLlama ? encodeUtf8(piece.replaceAll(SPACE, ' ')) : bytesOfPiece(piece)
      },
    },
    encoder,
  )
}

type EncodeText = (text: string, afterToken: boolean, ids: number[]) => void

function gpt2Text(source: GgufTokenizerSource, ids: Map<string, number>, unkId: number | undefined): EncodeText {
  const { patterns, ignoreMerges = false, normalize } = preTokenizer(source.pre)
  const merges = source.merges ?? badTokenizer('a gpt2-type vocabulary needs tokenizer.ggml.merges')
  const wrong = merges.findIndex((merge) => merge.indexOf(' ', 1) < 0)
  if (wrong >= 0)
    badTokenizer(`tokenizer.ggml.merges[${wrong}] is '${merges[wrong]}', not two pieces with a space between`)
  const encoder = new BytePairEncoder({ ids, merges, ignoreMerges, unkId })
  return (text, _afterToken, found) => {
    const normal = normalize ? text.normalize(normalize) : text
    for (const word of splitWords(normal, patterns)) encoder.encode(spellBytes(word), found)
  }
}

/** The byte-level spelling of a text: one character a byte. */
export function spellBytes(text: string): string {
  let spelled = ''
  for (const byte of encodeUtf8(text)) spelled += byteToChar[byte]
  return spelled
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
  return (text, afterToken, found) => {
    if (text !== '') encoder.encode((afterToken ? prefix : '') + text.replaceAll(' ', SPACE), found)
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
