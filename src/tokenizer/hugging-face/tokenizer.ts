// Tokenizers from a Hugging Face folder: tokenizer.json, and what tokenizer_config.json adds. Equal to the original
// tokenizers library but for this: special tokens are parsed only when asked, and no other text ever becomes one;
// truncation and padding are a caller's affair; dropout is for training.
import { type AddedToken, AddedTokenFinder, splitAtTokens } from '../added-tokens.ts'
import type { HuggingFaceTokenizerSource } from '../source.ts'
import type { Segment, Tokenizer } from '../tokenizer.ts'
import { type Decoding, type Encoder, makeTokenizer } from '../vocabulary.ts'
import { WordEncoder } from '../words.ts'
import { type Decoder, readDecoder, type Stage } from './decoder.ts'
import { about, Fields, partOf, readJsonFile, unknownStep } from './file.ts'
import { readModel } from './model.ts'
import { type Normalize, readNormalizer } from './normalizer.ts'
import { type Ends, readPostProcessor } from './post-processor.ts'
import { type PreTokenizer, readPreTokenizer } from './pre-tokenizer.ts'
import { type HuggingFaceAddedToken, type HuggingFaceVocabulary, readVocabulary } from './vocabulary.ts'

export function createHuggingFaceTokenizer(source: HuggingFaceTokenizerSource): Tokenizer {
  const { tokenizerConfig } = source
  const config = new Fields(
    tokenizerConfig ? about(tokenizerConfig, () => readJsonFile(tokenizerConfig)) : {},
    'tokenizer_config.json',
  )
  return about(source.tokenizerJson, () => {
    const file = new Fields(readJsonFile(source.tokenizerJson), '')
    const version = file.text('version', '1.0')
    if (version !== '1.0') unknownStep('version', version, 'version', '1.0')
    return fromFile(file, config, source)
  })
}

function fromFile(file: Fields, config: Fields, source: HuggingFaceTokenizerSource): Tokenizer {
  const modelField = new Fields(file.object('model'), 'model')
  const vocabulary = readVocabulary(file, modelField, config)
  const { idOf, pieces, special, added } = vocabulary
  const { words, unkId } = readModel(modelField, vocabulary)
  const normalize = readNormalizer(partOf(file, 'normalizer'))
  const preTokenizer = readPreTokenizer(partOf(file, 'pre_tokenizer'))
  const decoder = readDecoder(partOf(file, 'decoder'))
  const processed = readPostProcessor(partOf(file, 'post_processor'), idOf)

  const roles = source.specialTokens ?? {}
  const [bosText, eosText, unkText] = ['bos_token', 'eos_token', 'unk_token'].map(
    (name) => tokenText(config, name) ?? roles[name],
  )
  const ends = endsOf(processed, config, idOf, bosText, eosText)
  const idOfText = (text: string | undefined) => (text === undefined ? undefined : idOf(text))
  const bosId = bosText === undefined ? ends.prefix[0] : idOf(bosText)
  const eosIds = [eosText, roles.eos_token].map(idOfText)
  return makeTokenizer(
    {
      pieces,
      special,
      bosId,
      eosIds: eosIds.filter((id) => id !== undefined),
      unkId: unkId ?? idOfText(unkText),
      ...ends,
      chatTemplate: source.chatTemplate ?? chatTemplateOf(config),
      decoding: decodingOf(decoder, vocabulary, normalize),
    },
    makeEncoder(added, normalize, preTokenizer, new WordEncoder(words, preTokenizer.byteLevel)),
  )
}

function makeEncoder(
  tokens: readonly HuggingFaceAddedToken[],
  normalize: Normalize | undefined,
  preTokenizer: PreTokenizer,
  words: WordEncoder,
): Encoder {
  // tokens marked `normalized` are sought in normalized text, by their own normalized spelling
  const early = tokens.filter((token) => !token.normalized)
  const late = tokens
    .filter((token) => token.normalized)
    .map((token) => (normalize ? { ...token, text: normalize(token.text) } : token))
  const plain = (list: readonly AddedToken[]) => list.filter((token) => !token.special)
  const finders = {
    plain: { early: new AddedTokenFinder(plain(early)), late: new AddedTokenFinder(plain(late)) },
    parsed: { early: new AddedTokenFinder(early), late: new AddedTokenFinder(late) },
  }
  const specials = new AddedTokenFinder(tokens.filter((token) => token.special))

  return {
    findSpecials: (text) => specials.find(text),
    *encode(segments, parseSpecial) {
      const ids: number[] = []
      const found = parseSpecial ? finders.parsed : finders.plain
      let atStart = true
      for (const segment of segments) {
        const parts: Segment[] = typeof segment === 'number' ? [segment] : yield* splitAtTokens(segment, found.early)
        for (const part of parts) {
          if (typeof part === 'number') ids.push(part)
          else {
            yield
            const normal = normalize ? normalize(part) : part
            for (const piece of yield* splitAtTokens(normal, found.late)) {
              if (typeof piece === 'number') ids.push(piece)
              else yield* words.encode(yield* preTokenizer.cut(piece, atStart), ids)
              atStart = false
            }
          }
          atStart = false
        }
      }
      return ids
    },
  }
}

function decodingOf(decoder: Decoder, vocabulary: HuggingFaceVocabulary, normalize: Normalize | undefined): Decoding {
  const { pieces, special, added } = vocabulary
  const shown = [...pieces]
  // the original shows a token that is sought in normalized text as it is sought
  if (normalize) for (const token of added) if (token.normalized) shown[token.id] = normalize(token.text)
  const push = (stage: Stage, id: number, showSpecial: boolean): string =>
    special.has(id) && !showSpecial ? '' : stage.push(shown[id] ?? '\ufffd').join('')
  return {
    decode(ids, { special: showSpecial = false, continues = false }) {
      const stage = decoder({ continues, early: false })
      const parts: string[] = []
      for (const id of ids) parts.push(push(stage, id, showSpecial))
      return parts.join('') + stage.end().join('')
    },
    stream({ special: showSpecial = false, continues = false }) {
      const stage = decoder({ continues, early: true })
      return { push: (id) => push(stage, id, showSpecial), end: () => stage.end().join('') }
    },
  }
}

/** What encoding adds before and after a text: as the post-processor says; Llama classes override it by two keys. */
function endsOf(
  processed: Ends,
  config: Fields,
  idOf: (text: string) => number | undefined,
  bosText: string | undefined,
  eosText: string | undefined,
): Ends {
  let { prefix, suffix } = processed
  const idsOf = (text: string | undefined) => {
    const id = text === undefined ? undefined : idOf(text)
    return id === undefined ? [] : [id]
  }
  if (/^(Code)?Llama|^Gemma/.test(config.text('tokenizer_class', ''))) {
    if (config.has('add_bos_token')) prefix = config.flag('add_bos_token') ? idsOf(bosText) : []
    if (config.has('add_eos_token')) suffix = config.flag('add_eos_token') ? idsOf(eosText) : []
  }
  return { prefix, suffix }
}

/** A token's text, or an object that has it as `content`. */
function tokenText(config: Fields, name: string): string | undefined {
  const given = config.raw(name)
  if (given === undefined) return undefined
  return typeof given === 'object' ? new Fields(given, name).text('content') : config.text(name)
}

function chatTemplateOf(config: Fields): string | undefined {
  const given = config.raw('chat_template')
  if (given === undefined) return undefined
  if (!Array.isArray(given)) return config.text('chat_template')
  const named = given.map((entry, at) => new Fields(entry, `chat_template[${at}]`))
  return (named.find((entry) => entry.text('name') === 'default') ?? named[0])?.text('template')
}
