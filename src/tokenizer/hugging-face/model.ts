// The model of tokenizer.json: BPE, Unigram, WordPiece or WordLevel.

import { quoted } from '../../../ir/visible-text.ts'
import { BytePairEncoder, cutMerge, type Merge } from '../byte-pair.ts'
import { UnigramEncoder } from '../unigram.ts'
import { WordLevelEncoder, WordPieceEncoder } from '../word-piece.ts'
import type { WordModel } from '../words.ts'
import { badField, contradiction, type Fields, unknownStep } from './file.ts'
import type { HuggingFaceVocabulary } from './vocabulary.ts'

interface ReadModel {
  readonly words: WordModel
  readonly unkId: number | undefined
}

export function readModel(field: Fields, vocabulary: HuggingFaceVocabulary): ReadModel {
  const type = field.has('type') ? field.text('type') : guessType(field)
  const listed = Array.isArray(field.raw('vocab'))
  if (['BPE', 'Unigram', 'WordPiece', 'WordLevel'].includes(type) && listed !== (type === 'Unigram')) {
    badField('model.vocab', `is ${listed ? 'a list' : 'an object'}, which a ${type} model has not`)
  }
  switch (type) {
    case 'BPE':
      return bytePair(field, vocabulary)
    case 'Unigram':
      return unigram(field, vocabulary)
    case 'WordPiece': {
      const unkId = unknownId(field, vocabulary, '[UNK]')
      const words = new WordPieceEncoder({
        ids: reachable(vocabulary),
        unkId,
        continuingPrefix: field.text('continuing_subword_prefix', '##'),
        maxWordLength: field.count('max_input_chars_per_word', 100),
      })
      return { words, unkId }
    }
    case 'WordLevel': {
      const unkId = unknownId(field, vocabulary, '<unk>')
      return { words: new WordLevelEncoder(reachable(vocabulary), unkId), unkId }
    }
    default:
      return unknownStep('model.type', type, 'model', 'BPE, Unigram, WordPiece, WordLevel')
  }
}

function guessType(field: Fields): string {
  if (field.has('merges')) return 'BPE'
  if (Array.isArray(field.raw('vocab'))) return 'Unigram'
  return field.has('max_input_chars_per_word') || field.has('continuing_subword_prefix') ? 'WordPiece' : 'WordLevel'
}

/** What text may become: everything but special tokens, which only special parsing gives. */
function reachable({ model, special }: HuggingFaceVocabulary): ReadonlyMap<string, number> {
  const ids = new Map(model)
  for (const [piece, id] of model) if (special.has(id)) ids.delete(piece)
  return ids
}

function unknownId(field: Fields, { idOf }: HuggingFaceVocabulary, usual: string): number {
  const text = field.text('unk_token', usual)
  return idOf(text) ?? contradiction('model.unk_token', `names ${quoted(text)}, which the vocabulary lacks`)
}

/** `dropout` is for training: a text has one encoding here. */
function bytePair(field: Fields, vocabulary: HuggingFaceVocabulary): ReadModel {
  const { model, special } = vocabulary
  const continuingPrefix = field.text('continuing_subword_prefix', '')
  const merges = field.list('merges') as readonly Merge[]
  for (const [rank, merge] of merges.entries()) checkMerge(merge, rank, model, continuingPrefix)
  const dropout = field.raw('dropout')
  if (dropout !== undefined && !(typeof dropout === 'number' && dropout >= 0 && dropout <= 1)) {
    badField('model.dropout', 'is not a probability')
  }
  const unkId = field.has('unk_token') ? unknownId(field, vocabulary, '') : undefined
  const words = new BytePairEncoder({
    ids: {
      get(piece) {
        const id = model.get(piece)
        return id !== undefined && special.has(id) ? undefined : id
      },
    },
    merges,
    again: 'later',
    ignoreMerges: field.flag('ignore_merges', false),
    byteFallback: field.flag('byte_fallback', false),
    unkId,
    fuseUnk: field.flag('fuse_unk', false),
    continuingPrefix,
    wordSuffix: field.text('end_of_word_suffix', ''),
  })
  return { words, unkId }
}

function checkMerge(merge: Merge, rank: number, model: ReadonlyMap<string, number>, prefix: string): void {
  const place = `model.merges[${rank}]`
  const isPair =
    typeof merge === 'string' ||
    (Array.isArray(merge) && merge.length === 2 && merge.every((side) => typeof side === 'string'))
  const cut = isPair ? cutMerge(merge) : undefined
  if (!cut) badField(place, 'is not two pieces')
  const [left, right] = cut
  for (const piece of [left, right]) {
    if (!model.has(piece)) contradiction(place, `joins ${quoted(piece)}, which model.vocab lacks`)
  }
  const joined = left + right.slice(prefix.length)
  if (!model.has(joined)) contradiction(place, `makes ${quoted(joined)}, which model.vocab lacks`)
}

function unigram(field: Fields, { special }: HuggingFaceVocabulary): ReadModel {
  const pieces = field.list('vocab') as readonly (readonly [string, number])[]
  if (pieces.length === 0) badField('model.vocab', 'is empty')
  const unkId = field.has('unk_id') ? field.count('unk_id') : undefined
  if (unkId !== undefined && unkId >= pieces.length) {
    contradiction('model.unk_id', `is ${unkId}, outside the ${pieces.length} pieces`)
  }
  const byteFallback = field.flag('byte_fallback', false)
  const words = new UnigramEncoder({ pieces, unkId, byteFallback, isHidden: (id) => special.has(id) })
  return { words, unkId }
}
