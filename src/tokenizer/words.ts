// Words to ids, whatever the model: each text has the same words again and again, so that most are looked up.
import { spellBytes } from './bytes.ts'
import { finish, type Steps } from './steps.ts'

/** Turns one word, as the pre-tokenizer cut it, into ids. */
export interface WordModel {
  /** Appends the ids of `word`; steps may be far apart only by what does not grow with the word. */
  encode(word: string, ids: number[]): Steps<void>
}

/** words no longer than this are remembered, at most that many of them */
const CACHED_WORD_LENGTH = 32
const CACHED_WORDS = 50_000
/** words that take their steps one by one */
const LONG_WORD = 4096
/** words between two steps */
const STEP = 4096

export class WordEncoder {
  readonly #model: WordModel
  readonly #byteLevel: boolean
  readonly #cache = new Map<string, readonly number[]>()

  /** `byteLevel`: the model's pieces spell bytes, words come as text */
  constructor(model: WordModel, byteLevel = false) {
    this.#model = model
    this.#byteLevel = byteLevel
  }

  *encode(words: readonly string[], ids: number[]): Steps<void> {
    const cache = this.#cache
    for (let at = 0; at < words.length; at++) {
      const word = words[at]!
      if (at % STEP === STEP - 1) yield
      const known = cache.get(word)
      if (known) {
        for (let index = 0; index < known.length; index++) ids.push(known[index]!)
        continue
      }
      const spelled = this.#byteLevel ? spellBytes(word) : word
      if (word.length >= LONG_WORD) yield* this.#model.encode(spelled, ids)
      else {
        const before = ids.length
        finish(this.#model.encode(spelled, ids))
        if (word.length > CACHED_WORD_LENGTH) continue
        if (cache.size >= CACHED_WORDS) cache.clear()
        cache.set(word, ids.slice(before))
      }
    }
  }
}
