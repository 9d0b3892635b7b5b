// Tokenizers from a Hugging Face folder. The @huggingface/tokenizers package does the normalizer, the pre-tokenizer,
// the post-processor and Unigram models; this file does what it cannot do or does otherwise than the original:
//   - added tokens: the package always parses special ones, ignores single_word, and finds no tokens in parts
//   - BPE: merged by `merge.ts`, in a fraction of the memory, and never to a special token
//   - decoding: by bytes, so that it can stream; the package joins some tokens by a space and cleans up spaces
//   - pre-tokenizers that differ: rewritten beforehand by `huggingface-repair.ts`
import { readFileSync } from 'node:fs'
import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers'
import { z } from 'zod'
import { fail } from '../../ir/diagnostic.ts'
import { type AddedToken, AddedTokenFinder, splitAtTokens } from './added-tokens.ts'
import { BytePairEncoder } from './byte-pair.ts'
import { byteOfPiece, bytesOfPiece, encodeUtf8 } from './bytes.ts'
import { detokenization, repairPreTokenizer } from './huggingface-repair.ts'
import type { HuggingFaceTokenizerSource } from './source.ts'
import type { Segment, Tokenizer } from './tokenizer.ts'
import { type Encoder, makeTokenizer } from './vocabulary.ts'

const step = z.looseObject({ type: z.string() }).nullish()
const addedToken = z.looseObject({
  id: z
    .int()
    .min(0)
    .max(2 ** 24),
  content: z.string(),
  special: z.boolean().default(false),
  normalized: z.boolean().optional(),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
})
const tokenizerFile = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  normalizer: step,
  pre_tokenizer: step,
  post_processor: step,
  decoder: step,
  model: z.looseObject({
    type: z.string().optional(),
    vocab: z.unknown().optional(),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])).optional(),
    unk_token: z.string().nullish(),
    continuing_subword_prefix: z.string().nullish(),
    end_of_word_suffix: z.string().nullish(),
    byte_fallback: z.boolean().nullish(),
    ignore_merges: z.boolean().nullish(),
    fuse_unk: z.boolean().nullish(),
  }),
})
const tokenText = z.union([z.string(), z.looseObject({ content: z.string() })]).nullish()
const configFile = z.looseObject({
  tokenizer_class: z.string().nullish(),
  add_bos_token: z.boolean().nullish(),
  add_eos_token: z.boolean().nullish(),
  bos_token: tokenText,
  eos_token: tokenText,
  unk_token: tokenText,
  added_tokens_decoder: z.record(z.string(), z.unknown()).nullish(),
  chat_template: z.union([z.string(), z.array(z.looseObject({ name: z.string(), template: z.string() }))]).nullish(),
})
type TokenizerFile = z.infer<typeof tokenizerFile>
type ConfigFile = z.infer<typeof configFile>

export function createHuggingFaceTokenizer(source: HuggingFaceTokenizerSource): Tokenizer {
  const path = source.tokenizerJson
  const file = readJson(path, tokenizerFile)
  const config = source.tokenizerConfig ? readJson(source.tokenizerConfig, configFile) : {}
  const { model } = file
  const kind = model.type ?? (model.merges ? 'BPE' : Array.isArray(model.vocab) ? 'Unigram' : 'WordPiece')
  if (kind !== 'BPE' && kind !== 'Unigram') unsupported(path, `model type ${kind}`, 'BPE, Unigram')
  if (kind === 'Unigram' && model.byte_fallback) unsupported(path, 'Unigram with byte_fallback', 'BPE, Unigram')
  for (const key of ['continuing_subword_prefix', 'end_of_word_suffix'] as const) {
    if (kind === 'BPE' && model[key]) unsupported(path, `BPE with ${key} '${model[key]}'`, 'BPE without it')
  }

  const vocab = readVocab(path, model.vocab)
  const addedTokens = allAddedTokens(file, config)
  const pieces: (string | undefined)[] = []
  for (const [piece, id] of vocab) pieces[id] = piece
  for (const token of addedTokens) pieces[token.id] = token.text
  const special = new Set(addedTokens.filter((token) => token.special).map((token) => token.id))
  const added = new Map(addedTokens.map((token) => [token.text, token.id]))
  const idOf = (text: string) => added.get(text) ?? vocab.get(text)

  const parts = buildParts(path, file, kind)
  const encodeWord = kind === 'BPE' ? bytePairWords(file, vocab, special) : packageWords(path, parts, vocab, model)
  const roles = source.specialTokens ?? {}
  const bosText = textOf(config.bos_token) ?? roles.bos_token
  const eosText = textOf(config.eos_token) ?? roles.eos_token
  const unkText = model.unk_token ?? textOf(config.unk_token) ?? roles.unk_token
  const ends = endsOf(parts, config, idOf, bosText, eosText)
  const bosId = bosText === undefined ? ends.prefix[0] : idOf(bosText)
  const eosIds = [eosText, roles.eos_token].map((text) => (text === undefined ? undefined : idOf(text)))
  const { bytesOf, stripLeadingSpace } = pieceBytes(path, file, addedTokens)

  return makeTokenizer(
    {
      pieces,
      special,
      bosId,
      eosIds: eosIds.filter((id) => id !== undefined),
      unkId: unkText === undefined ? undefined : idOf(unkText),
      ...ends,
      stripLeadingSpace,
      chatTemplate: source.chatTemplate ?? chatTemplateOf(config),
      bytesOf,
    },
    makeEncoder(addedTokens, parts, encodeWord),
  )
}

interface HuggingFaceAddedToken extends AddedToken {
  /** found in the text after normalization rather than before */
  readonly normalized: boolean
}

/** tokenizer.json's added tokens, and those that only tokenizer_config.json knows. */
function allAddedTokens(file: TokenizerFile, config: Partial<ConfigFile>): HuggingFaceAddedToken[] {
  const known = new Map(file.added_tokens.map((token) => [token.id, token]))
  for (const [id, value] of Object.entries(config.added_tokens_decoder ?? {})) {
    const parsed = addedToken.safeParse({ ...(value as object), id: Number(id) })
    if (parsed.success && !known.has(parsed.data.id)) known.set(parsed.data.id, parsed.data)
  }
  return [...known.values()].map((token) => ({
    id: token.id,
    text: token.content,
    special: token.special,
    lstrip: token.lstrip,
    rstrip: token.rstrip,
    singleWord: token.single_word,
    normalized: token.normalized ?? !token.special,
  }))
}

type Parts = Pick<PackageTokenizer, 'normalizer' | 'pre_tokenizer' | 'post_processor' | 'model'>

function buildParts(path: string, file: TokenizerFile, kind: 'BPE' | 'Unigram'): Parts {
  const model = kind === 'BPE' ? { type: 'BPE', vocab: {}, merges: [] } : { ...file.model, type: 'Unigram' }
  try {
    return new PackageTokenizer(
      {
        added_tokens: [],
        normalizer: file.normalizer ?? null,
        pre_tokenizer: repairPreTokenizer(file.pre_tokenizer),
        post_processor: file.post_processor ?? null,
        decoder: null,
        model,
      },
      {},
    )
  } catch (error) {
    return fail(
      {
        code: 'unsupported-tokenizer',
        message: `the tokenizer cannot be built: ${error instanceof Error ? error.message : error}`,
        facts: [['at', path]],
        help: 'check that tokenizer.json is whole, or load the model from a GGUF file',
      },
      error,
    )
  }
}

type EncodeWord = (word: string, ids: number[]) => void

function bytePairWords(file: TokenizerFile, vocab: Map<string, number>, special: Set<number>): EncodeWord {
  const { model } = file
  const ids = {
    get(piece: string) {
      const id = vocab.get(piece)
      return id !== undefined && special.has(id) ? undefined : id
    },
  }
  const encoder = new BytePairEncoder({
    ids,
    merges: model.merges ?? [],
    ignoreMerges: model.ignore_merges ?? false,
    byteFallback: model.byte_fallback ?? false,
    unkId: model.unk_token ? vocab.get(model.unk_token) : undefined,
    fuseUnk: model.fuse_unk ?? false,
  })
  return (word, found) => encoder.encode(word, found)
}

function packageWords(
  path: string,
  parts: Parts,
  vocab: Map<string, number>,
  model: TokenizerFile['model'],
): EncodeWord {
  const unkId = z
    .int()
    .optional()
    .parse(model.unk_id ?? undefined)
  return (word, found) => {
    let tokens: string[]
    try {
      tokens = parts.model!([word])
    } catch (error) {
      return fail(
        {
          code: 'text-too-long',
          message: `a word of ${word.length} characters is too long for a Unigram vocabulary`,
          facts: [['at', path]],
          help: 'send the text in parts',
        },
        error,
      )
    }
    for (const token of tokens) {
      const id = vocab.get(token) ?? unkId
      if (id !== undefined) found.push(id)
    }
  }
}

function makeEncoder(tokens: readonly HuggingFaceAddedToken[], parts: Parts, encodeWord: EncodeWord): Encoder {
  const normalize = (text: string) => (parts.normalizer ? parts.normalizer(text) : text)
  // Tokens marked `normalized` are sought in normalized text, by their own normalized spelling.
  const late = tokens.filter((token) => token.normalized && parts.normalizer)
  const early = tokens.filter((token) => !(token.normalized && parts.normalizer))
  const plain = (list: readonly AddedToken[]) => list.filter((token) => !token.special)
  const lateNormal = late.map((token) => ({ ...token, text: normalize(token.text) }))
  const plainEarly = new AddedTokenFinder(plain(early))
  const plainLate = new AddedTokenFinder(plain(lateNormal))
  const specials = new AddedTokenFinder(tokens.filter((token) => token.special))
  // Parsing special tokens takes the plain ones in the same pass, so that the longest wins where they overlap.
  const everyEarly = new AddedTokenFinder([...early, ...late.filter((token) => token.special)])

  const encodeText = (text: string, section: number, ids: number[]) => {
    const words = parts.pre_tokenizer ? parts.pre_tokenizer(text, { section_index: section }) : [text]
    for (const word of words) encodeWord(word, ids)
  }
  return {
    splitSpecials: (text) => splitAtTokens(text, everyEarly),
    findSpecials: (text) => specials.find(text),
    encodeSegments(segments) {
      const ids: number[] = []
      let section = 0
      const emit = (segment: Segment) => {
        if (typeof segment === 'number') ids.push(segment)
        else if (segment !== '') {
          for (const part of splitAtTokens(normalize(segment), plainLate)) {
            if (typeof part === 'number') ids.push(part)
            else encodeText(part, section, ids)
          }
        }
        section++
      }
      for (const segment of segments) {
        if (typeof segment === 'number') emit(segment)
        else splitAtTokens(segment, plainEarly).forEach(emit)
      }
      return ids
    },
  }
}

/** What encoding adds before and after a text: as the post-processor says; Llama classes override it by two keys. */
function endsOf(
  parts: Parts,
  config: Partial<ConfigFile>,
  idOf: (text: string) => number | undefined,
  bosText: string | undefined,
  eosText: string | undefined,
): { prefix: number[]; suffix: number[] } {
  const text = '\0'
  const tokens = parts.post_processor ? parts.post_processor([text], null, true).tokens : [text]
  const cut = tokens.indexOf(text)
  const idsOf = (list: (string | undefined)[]) =>
    list.map((token) => (token === undefined ? undefined : idOf(token))).filter((id) => id !== undefined)
  let prefix = idsOf(tokens.slice(0, cut))
  let suffix = idsOf(tokens.slice(cut + 1))
  if (/^(Code)?Llama|^Gemma/.test(config.tokenizer_class ?? '')) {
    if (typeof config.add_bos_token === 'boolean') prefix = config.add_bos_token ? idsOf([bosText]) : []
    if (typeof config.add_eos_token === 'boolean') suffix = config.add_eos_token ? idsOf([eosText]) : []
  }
  return { prefix, suffix }
}

function pieceBytes(path: string, file: TokenizerFile, addedTokens: readonly AddedToken[]) {
  const how =
    detokenization(file.decoder, file.pre_tokenizer) ??
    unsupported(path, `decoder ${file.decoder?.type ?? 'null'}`, 'ByteLevel, Metaspace, ByteFallback with Replace')
  const added = new Set(addedTokens.map((token) => token.id))
  const bytesOf = (piece: string, id: number): Uint8Array => {
    if (how.kind === 'bytes') return added.has(id) ? encodeUtf8(piece) : bytesOfPiece(piece)
    const byte = how.byteFallback && !added.has(id) ? byteOfPiece(piece) : undefined
    return byte === undefined ? encodeUtf8(piece.replaceAll(how.space, ' ')) : Uint8Array.of(byte)
  }
  return { bytesOf, stripLeadingSpace: how.kind === 'spaces' && how.stripLeadingSpace }
}

function readVocab(path: string, vocab: unknown): Map<string, number> {
  const ids = new Map<string, number>()
  const bad = (what: string): never =>
    fail({ code: 'bad-tokenizer', message: `model.vocab ${what}`, facts: [['at', path]], help: DAMAGED })
  if (Array.isArray(vocab)) {
    vocab.forEach((entry, id) => {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string') bad(`entry ${id} is not a piece with its score`)
      if (!ids.has(entry[0])) ids.set(entry[0], id)
    })
  } else if (vocab && typeof vocab === 'object') {
    const given = vocab as Readonly<Record<string, number>>
    for (const piece in given) {
      const id = given[piece]!
      if (!Number.isInteger(id) || id < 0 || id >= 2 ** 24) bad(`gives '${piece}' the id ${id}`)
      ids.set(piece, id)
    }
  } else bad('is missing')
  return ids
}

function chatTemplateOf(config: Partial<ConfigFile>): string | undefined {
  const template = config.chat_template
  if (!Array.isArray(template)) return template ?? undefined
  return (template.find((entry) => entry.name === 'default') ?? template[0])?.template
}

const textOf = (token: z.infer<typeof tokenText>) => (typeof token === 'string' ? token : token?.content)
const DAMAGED = 'the file is damaged or of another format: get it again'

function readJson<T>(path: string, schema: z.ZodType<T>): T {
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return fail({ code: 'bad-tokenizer', message: `cannot read ${path}`, facts: [['reason', reason]], help: DAMAGED })
  }
  const parsed = schema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  return fail({
    code: 'bad-tokenizer',
    message: `${issue.path.join('.') || 'the file'}: ${issue.message}`,
    facts: [['at', path]],
    help: DAMAGED,
  })
}

function unsupported(path: string, what: string, known: string): never {
  return fail({
    code: 'unsupported-tokenizer',
    message: `tokenizer with ${what} is not supported`,
    facts: [
      ['at', path],
      ['known', known],
    ],
  })
}
