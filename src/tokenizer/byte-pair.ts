// Byte-pair encoding of one word: merges in the order that training found them. Serves GGUF's gpt2 type and the BPE
// models of tokenizer.json, with SentencePiece-like byte fallback where the model asks for it.
import { encodeUtf8 } from './bytes.ts'
import { MergeTable } from './merge.ts'

export interface BytePairModel {
  /** id of a piece; pieces that only special parsing may produce are absent */
  readonly ids: Pick<ReadonlyMap<string, number>, 'get'>
  /** first merges first; `left right` is cut at its first space, which may not be its first character */
  readonly merges: readonly (string | readonly [left: string, right: string])[]
  /** a word that is a token as a whole is not merged */
  readonly ignoreMerges?: boolean
  /** characters outside the vocabulary become `<0xNN>` pieces */
  readonly byteFallback?: boolean
  /** what else such a character becomes; without it, it is dropped, as the models' own tokenizers do */
  readonly unkId?: number | undefined
  /** one unknown token for a run of unknown characters */
  readonly fuseUnk?: boolean
}

/** words no longer than this are remembered, at most that many of them */
const CACHED_WORD_LENGTH = 32
const CACHED_WORDS = 20_000

export class BytePairEncoder {
  readonly #model: BytePairModel
  readonly #table = new MergeTable((left, right) => this.#mergeOf(left, right))
  /** `left right`, or both with a NUL between where they were given apart → place in the list of merges */
  readonly #ranks = new Map<string, number>()
  /** of the symbols that texts had so far */
  readonly #pieces: string[] = []
  readonly #byteIds: readonly (number | undefined)[]
  readonly #cache = new Map<string, readonly number[]>()

  constructor(model: BytePairModel) {
    this.#model = model
    // a vocabulary has hundreds of thousands of merges, a text some hundreds: only those are cut and looked up in ids
    for (const [rank, merge] of model.merges.entries()) {
      const key = typeof merge === 'string' ? merge : `${merge[0]}\0${merge[1]}`
      if (!this.#ranks.has(key)) this.#ranks.set(key, rank)
    }
    this.#byteIds = Array.from({ length: 256 }, (_, byte) => {
      const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
      const id = model.ids.get(piece)
      if (id !== undefined) this.#pieces[id] = piece
      return id
    })
  }

  #mergeOf(a: number, b: number): readonly [rank: number, result: number] | undefined {
    const [left, right] = [this.#pieces[a], this.#pieces[b]]
    if (left === undefined || right === undefined) return undefined
    const written = left.indexOf(' ', 1) < 0 ? this.#ranks.get(`${left} ${right}`) : undefined
    const apart = this.#ranks.get(`${left}\0${right}`)
    const rank = Math.min(written ?? Number.POSITIVE_INFINITY, apart ?? Number.POSITIVE_INFINITY)
    const result = rank === Number.POSITIVE_INFINITY ? undefined : this.#model.ids.get(left + right)
    if (result === undefined) return undefined
    this.#pieces[result] = left + right
    return [rank, result]
  }

  /** Appends the ids of `word` to `ids`. */
  encode(word: string, ids: number[]): void {
    let found = this.#cache.get(word)
    if (!found) {
      found = this.#merge(word)
      if (word.length <= CACHED_WORD_LENGTH) {
        if (this.#cache.size >= CACHED_WORDS) this.#cache.clear()
        this.#cache.set(word, found)
      }
    }
    for (const id of found) ids.push(id)
  }

  #merge(word: string): readonly number[] {
    const { ids, ignoreMerges, byteFallback, unkId, fuseUnk } = this.#model
    const whole = ignoreMerges ? ids.get(word) : undefined
    if (whole !== undefined) return [whole]
    const symbols: number[] = []
    let wasUnknown = false
    for (const char of word) {
      const id = ids.get(char)
      const bytes = id === undefined && byteFallback ? this.#bytes(char) : undefined
      const unknown = id === undefined && !bytes
      if (id !== undefined) {
        this.#pieces[id] = char
        symbols.push(id)
      } else if (bytes) symbols.push(...bytes)
      else if (unkId !== undefined && !(fuseUnk && wasUnknown)) symbols.push(unkId)
      wasUnknown = unknown
    }
    return this.#table.apply(symbols)
  }

  #bytes(char: string): number[] | undefined {
    const found = Array.from(encodeUtf8(char), (byte) => this.#byteIds[byte])
    return found.every((id) => id !== undefined) ? found : undefined
  }
}
