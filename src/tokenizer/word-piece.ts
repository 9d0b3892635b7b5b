// Models that take words apart from the left, or not at all: WordPiece and WordLevel.
import type { Steps } from './steps.ts'
import type { WordModel } from './words.ts'

interface WordPieceModel {
  /** id of a piece that text may become */
  readonly ids: ReadonlyMap<string, number>
  readonly unkId: number
  /** spelled before every piece but the first of a word */
  readonly continuingPrefix: string
  /** a longer word is unknown as a whole, in code points */
  readonly maxWordLength: number
}

/** pieces of a long word between two steps */
const STEP = 4096

/** The longest piece, again and again; a word that cannot be covered is unknown as a whole. */
export class WordPieceEncoder implements WordModel {
  readonly #model: WordPieceModel
  /** of the longest piece, in UTF-16 units */
  readonly #longest: number

  constructor(model: WordPieceModel) {
    this.#model = model
    let longest = 0
    for (const piece of model.ids.keys()) longest = Math.max(longest, piece.length)
    this.#longest = longest
  }

  *encode(word: string, ids: number[]): Steps<void> {
    const { ids: known, unkId, continuingPrefix, maxWordLength } = this.#model
    const before = ids.length
    const fits = word.length <= maxWordLength || (word.length <= 2 * maxWordLength && [...word].length <= maxWordLength)
    let work = 0
    for (let start = 0; fits && start < word.length; ) {
      let end = Math.min(word.length, start + this.#longest)
      if (end < word.length && word.codePointAt(end - 1)! > 0xffff) end-- // not between two halves
      let id: number | undefined
      for (; end > start; end -= endsWithPair(word, end) ? 2 : 1) {
        id = known.get(start === 0 ? word.slice(0, end) : continuingPrefix + word.slice(start, end))
        if (id !== undefined) break
      }
      if (id === undefined) {
        ids.length = before
        break
      }
      ids.push(id)
      start = end
      if (++work % STEP === 0) yield
    }
    if (ids.length === before) ids.push(unkId)
  }
}

const endsWithPair = (word: string, end: number) => end > 1 && word.codePointAt(end - 2)! > 0xffff

export class WordLevelEncoder implements WordModel {
  readonly #ids: ReadonlyMap<string, number>
  readonly #unkId: number

  constructor(ids: ReadonlyMap<string, number>, unkId: number) {
    this.#ids = ids
    this.#unkId = unkId
  }

  // biome-ignore lint/correctness/useYield: a look-up is one step
  *encode(word: string, ids: number[]): Steps<void> {
    ids.push(this.#ids.get(word) ?? this.#unkId)
  }
}
