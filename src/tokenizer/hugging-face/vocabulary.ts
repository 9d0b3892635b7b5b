// The vocabulary of tokenizer.json: pieces of the model and tokens that were added to it, and that they agree.

import { quoted } from '../../../ir/visible-text.ts'
import type { AddedToken } from '../added-tokens.ts'
import { badField, contradiction, Fields } from './file.ts'

/** more ids than any model has, so that a damaged one does not become a list of that length */
const MAX_IDS = 2 ** 24

export interface HuggingFaceAddedToken extends AddedToken {
  /** found in the text after normalization rather than before */
  readonly normalized: boolean
}

export interface HuggingFaceVocabulary {
  /** of the model, without tokens that were added */
  readonly model: ReadonlyMap<string, number>
  readonly added: readonly HuggingFaceAddedToken[]
  /** text of every id; holes are unused ids */
  readonly pieces: readonly (string | undefined)[]
  readonly special: ReadonlySet<number>
  idOf(text: string): number | undefined
}

/** `config`: tokenizer_config.json, whose added_tokens_decoder may have tokens that tokenizer.json lacks */
export function readVocabulary(file: Fields, model: Fields, config: Fields): HuggingFaceVocabulary {
  const { ids, pieces } = readModelVocab(model)
  const added = readAddedTokens(file, config, ids, pieces)
  const addedIds = new Map(added.map((token) => [token.text, token.id]))
  for (const token of added) pieces[token.id] = token.text
  return {
    model: ids,
    added,
    pieces,
    special: new Set(added.filter((token) => token.special).map((token) => token.id)),
    idOf: (text) => addedIds.get(text) ?? ids.get(text),
  }
}

function readModelVocab(model: Fields): { ids: Map<string, number>; pieces: (string | undefined)[] } {
  const ids = new Map<string, number>()
  const pieces: (string | undefined)[] = []
  const add = (piece: string, id: number) => {
    if (pieces[id] !== undefined) {
      contradiction('model.vocab', `gives ${quoted(pieces[id])} and ${quoted(piece)} the same id ${id}`)
    }
    pieces[id] = piece
    ids.set(piece, id)
  }
  const vocab = model.raw('vocab')
  if (vocab === undefined) badField('model.vocab', 'is missing')
  if (Array.isArray(vocab)) {
    if (vocab.length >= MAX_IDS) badField('model.vocab', `has ${vocab.length} entries`)
    for (const [id, entry] of vocab.entries()) {
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number') {
        badField(`model.vocab[${id}]`, 'is not a piece with its score')
      }
      const before = ids.get(entry[0])
      if (before !== undefined) contradiction('model.vocab', `has ${quoted(entry[0])} twice, at ${before} and ${id}`)
      add(entry[0], id)
    }
    return { ids, pieces }
  }
  const given = model.object('vocab') as Readonly<Record<string, number>>
  for (const piece in given) {
    const id = given[piece]!
    if (!Number.isInteger(id) || id < 0 || id >= MAX_IDS) {
      badField('model.vocab', `gives ${quoted(piece)} the id ${quoted(String(id), 20).slice(1, -1)}`)
    }
    add(piece, id)
  }
  return { ids, pieces }
}

function readAddedTokens(
  file: Fields,
  config: Fields,
  ids: ReadonlyMap<string, number>,
  pieces: readonly (string | undefined)[],
): HuggingFaceAddedToken[] {
  const byId = new Map<number, HuggingFaceAddedToken>()
  const byText = new Map<string, number>()
  const add = (given: unknown, place: string, knownId?: number) => {
    const field = new Fields(given, place)
    const id = knownId ?? field.count('id')
    const text = field.text('content')
    if (id >= MAX_IDS) badField(`${place}.id`, `is ${id}`)
    if (text === '') return
    const other = byId.get(id)
    if (other && other.text !== text) {
      contradiction(place, `gives ${quoted(text)} the id ${id}, which another added token has, ${quoted(other.text)}`)
    }
    const elsewhere = byText.get(text) ?? ids.get(text)
    if (elsewhere !== undefined && elsewhere !== id) {
      contradiction(place, `gives ${quoted(text)} the id ${id}, elsewhere the file gives it ${elsewhere}`)
    }
    const piece = pieces[id]
    if (piece !== undefined && piece !== text) {
      contradiction(place, `gives ${quoted(text)} the id ${id}, which ${quoted(piece)} has in model.vocab`)
    }
    const special = field.flag('special', false)
    byText.set(text, id)
    byId.set(id, {
      id,
      text,
      special,
      lstrip: field.flag('lstrip', false),
      rstrip: field.flag('rstrip', false),
      singleWord: field.flag('single_word', false),
      normalized: field.flag('normalized', !special),
    })
  }
  for (const [at, given] of file.list('added_tokens', []).entries()) add(given, `added_tokens[${at}]`)
  for (const [id, given] of Object.entries(config.object('added_tokens_decoder', {}))) {
    const place = `added_tokens_decoder[${quoted(id)}] of tokenizer_config.json`
    if (!/^\d{1,9}$/.test(id)) badField(place, 'is not the id of a token')
    if (!byId.has(Number(id)) && pieces[Number(id)] === undefined) add(given, place, Number(id))
    else if (!byId.has(Number(id)) && new Fields(given, place).raw('content') === pieces[Number(id)])
      add(given, place, Number(id))
  }
  return [...byId.values()]
}
