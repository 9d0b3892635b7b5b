// Byte-pair encoding of one word: merges in the order that training found them. Serves GGUF's gpt2 type and the BPE
// models of tokenizer.json, with SentencePiece-like byte fallback where the model asks for it.
import { encodeUtf8 } from './bytes.ts'
import { MergeTable } from './merge.ts'
import type { Steps } from './steps.ts'
import type { WordModel } from './words.ts'

/** `left right`, cut at its first space, which may not be its first character; or both apart */
export type Merge = string | readonly [left: string, right: string]

interface BytePairModel {
  /** id of a piece; pieces that only special parsing may produce are absent */
  readonly ids: Pick<ReadonlyMap<string, number>, 'get'>
  /** first merges first */
  readonly merges: readonly Merge[]
  /** of a pair that is listed twice, which place counts */
  readonly again?: 'better' | 'later'
  /** a word that is a token as a whole is not merged */
  readonly ignoreMerges?: boolean
  /** characters outside the vocabulary become `<0xNN>` pieces */
  readonly byteFallback?: boolean
  /** what else such a character becomes; without it, it is dropped, as the models' own tokenizers do */
  readonly unkId?: number | undefined
  /** one unknown token for a run of unknown characters */
  readonly fuseUnk?: boolean
  /** spelled before every character but the first of a word, and dropped from the right side of a merge */
  readonly continuingPrefix?: string
  /** spelled behind the last character of a word */
  readonly wordSuffix?: string
}

/** characters of a long word between two steps */
const STEP = 16_384

export const cutMerge = (merge: Merge): readonly [left: string, right: string] | undefined => {
  if (typeof merge !== 'string') return merge
  const at = merge.indexOf(' ', 1)
  return at < 0 ? undefined : [merge.slice(0, at), merge.slice(at + 1)]
}

export class BytePairEncoder implements WordModel {
  readonly #model: BytePairModel
  readonly #table: MergeTable
  /** of characters that texts had so far; null: not every byte has a piece */
  readonly #bytesOf = new Map<string, readonly number[] | null>()
  readonly #byteIds: readonly (number | undefined)[]

  constructor(model: BytePairModel) {
    this.#model = model
    const { ids, merges, again, continuingPrefix = '' } = model
    this.#table = new MergeTable(merges.length)
    for (let rank = 0; rank < merges.length; rank++) {
      const cut = cutMerge(merges[rank]!)
      if (!cut) continue
      const [left, right] = cut
      const leftId = ids.get(left)
      const rightId = ids.get(right)
      if (leftId === undefined || rightId === undefined) continue
      const result = ids.get(left + right.slice(continuingPrefix.length))
      if (result !== undefined) this.#table.add(leftId, rightId, rank, result, again)
    }
    this.#byteIds = Array.from({ length: 256 }, (_, byte) =>
      ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    )
  }

  *encode(word: string, found: number[]): Steps<void> {
    const { ids, ignoreMerges, byteFallback, unkId, fuseUnk, continuingPrefix = '', wordSuffix = '' } = this.#model
    const whole = ignoreMerges ? ids.get(word) : undefined
    if (whole !== undefined) {
      found.push(whole)
      return
    }
    const symbols: number[] = []
    let unknown = false // an unknown token is due: the original adds it before the next known character
    let at = 0
    for (const char of word) {
      const first = at === 0
      at += char.length
      if (at % STEP === 0) yield
      let piece = first ? char : continuingPrefix + char
      if (at === word.length) piece += wordSuffix
      const id = ids.get(piece)
      if (id !== undefined) {
        if (unknown) symbols.push(unkId!)
        unknown = false
        symbols.push(id)
        continue
      }
      const bytes = byteFallback ? this.#bytes(piece) : undefined
      if (bytes) symbols.push(...bytes)
      else if (unkId !== undefined) {
        if (unknown && !fuseUnk) symbols.push(unkId)
        unknown = true
      }
    }
    if (unknown) symbols.push(unkId!)
    const merged = symbols.length > STEP ? yield* this.#table.steps(symbols) : this.#table.apply(symbols)
    for (let index = 0; index < merged.length; index++) found.push(merged[index]!)
  }

  #bytes(text: string): readonly number[] | undefined {
    const known = this.#bytesOf.get(text)
    if (known !== undefined) return known ?? undefined
    const ids = Array.from(encodeUtf8(text), (byte) => this.#byteIds[byte])
    const found = ids.every((id) => id !== undefined) ? ids : undefined
    if (this.#bytesOf.size > 10_000) this.#bytesOf.clear()
    this.#bytesOf.set(text, found ?? null)
    return found
  }
}
