// Unigram models: the pieces that cover a word with the greatest sum of scores (Viterbi), as SentencePiece and the original
// tokenizers library do. Source: Kudo, Subword Regularization, 2018.
import { fail } from '../../ir/diagnostic.ts'
import { quoted } from '../../ir/visible-text.ts'
import { encodeUtf8 } from './bytes.ts'
import { PairMap } from './pair-map.ts'
import type { Steps } from './steps.ts'
import type { WordModel } from './words.ts'

interface UnigramModel {
  /** piece and score of each id */
  readonly pieces: readonly (readonly [piece: string, score: number])[]
  readonly unkId: number | undefined
  readonly byteFallback: boolean
  /** pieces that text never becomes */
  isHidden(id: number): boolean
}

/** an unknown character costs this more than the worst piece */
const UNKNOWN_PENALTY = 10
/** characters of a long word between two steps */
const STEP = 8192

export class UnigramEncoder implements WordModel {
  readonly #model: UnigramModel
  /** (node, UTF-16 unit) → node; the root is 0 */
  readonly #children: PairMap
  /** piece that ends at a node, or -1 */
  readonly #ends: Int32Array
  readonly #unkScore: number
  readonly #byteIds: readonly (number | undefined)[]

  constructor(model: UnigramModel) {
    this.#model = model
    const { pieces } = model
    this.#children = new PairMap(pieces.length * 3)
    const ends: number[] = [-1]
    const byteIds = new Map<string, number>()
    let least = Number.POSITIVE_INFINITY
    for (const [id, [piece, score]] of pieces.entries()) {
      least = Math.min(least, score)
      if (piece.length === 6 && piece.startsWith('<0x')) byteIds.set(piece, id)
      if (piece === '' || model.isHidden(id)) continue
      let node = 0
      for (let at = 0; at < piece.length; at++) {
        let child = this.#children.get(node, piece.charCodeAt(at))
        if (child < 0) {
          child = ends.push(-1) - 1
          this.#children.set(node, piece.charCodeAt(at), child)
        }
        node = child
      }
      ends[node] = id
    }
    this.#ends = Int32Array.from(ends)
    this.#unkScore = least - UNKNOWN_PENALTY
    this.#byteIds = Array.from({ length: 256 }, (_, byte) =>
      byteIds.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`),
    )
  }

  *encode(word: string, ids: number[]): Steps<void> {
    const { pieces, unkId } = this.#model
    const count = word.length
    // of the best way to each place: its score, the place before, and the piece between
    const scores = new Float64Array(count + 1)
    const starts = new Int32Array(count + 1).fill(-1)
    const ends = new Int32Array(count + 1)
    const reach = (end: number, score: number, start: number, id: number) => {
      if (starts[end]! >= 0 && score <= scores[end]!) return
      scores[end] = score
      starts[end] = start
      ends[end] = id
    }
    let work = 0
    for (let start = 0; start < count; ) {
      const size = word.codePointAt(start)! > 0xffff ? 2 : 1
      const score = scores[start]!
      let single = false
      let node = 0
      for (let at = start; at < count; at++) {
        node = this.#children.get(node, word.charCodeAt(at))
        if (node < 0) break
        const id = this.#ends[node]!
        if (id < 0) continue
        reach(at + 1, score + pieces[id]![1], start, id)
        if (at + 1 === start + size) single = true
      }
      if (!single) reach(start + size, score + this.#unkScore, start, unkId ?? this.#noUnknown(word, start))
      start += size
      if (++work % STEP === 0) yield
    }

    const found: number[] = [] // the last first
    let unknownEnd = -1 // of a run of unknown characters, which become one
    const flush = (start: number) => {
      if (unknownEnd >= 0) for (const id of this.#unknown(word.slice(start, unknownEnd)).reverse()) found.push(id)
      unknownEnd = -1
    }
    for (let end = count; end > 0; end = starts[end]!) {
      if (ends[end] === unkId) unknownEnd = unknownEnd < 0 ? end : unknownEnd
      else {
        flush(end)
        found.push(ends[end]!)
      }
    }
    flush(0)
    for (let at = found.length - 1; at >= 0; at--) ids.push(found[at]!)
  }

  #unknown(text: string): number[] {
    if (this.#model.byteFallback) {
      const bytes = Array.from(encodeUtf8(text), (byte) => this.#byteIds[byte])
      if (bytes.every((id) => id !== undefined)) return bytes
    }
    return [this.#model.unkId!]
  }

  #noUnknown(word: string, at: number): never {
    return fail({
      code: 'unknown-character',
      message: `the vocabulary has no piece for ${quoted(String.fromCodePoint(word.codePointAt(at)!))} and no unknown token`,
      facts: [['in', quoted(word)]],
      help: 'leave the character out, or use a tokenizer.json whose model has an unk_id',
    })
  }
}
