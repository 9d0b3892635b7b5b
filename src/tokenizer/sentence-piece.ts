// SentencePiece encoding of GGUF's llama type: join the adjacent pair whose piece has the best score, fall back to
// bytes for what no piece covers. Source: the BPE mode of SentencePiece (Kudo and Richardson, 2018).
import { encodeUtf8 } from './bytes.ts'
import { MergeTable } from './merge.ts'
import type { Steps } from './steps.ts'
import type { WordModel } from './words.ts'

interface SentencePieceModel {
  /** id of a piece that text may become: normal, user-defined and unused ones, no control, unknown or byte pieces */
  readonly ids: ReadonlyMap<string, number>
  /** one a token; higher merges first */
  readonly scores: Float32Array
  /** ids of the 256 byte pieces, or undefined where the vocabulary lacks one */
  readonly byteIds: readonly (number | undefined)[]
  readonly unkId: number | undefined
  /** unused pieces join on the way to longer ones, but are taken apart again at the end */
  isUnused(id: number): boolean
}

/** U+2581, how SentencePiece spells a space */
export const SPACE = '▁'

/** characters of a long text between two steps */
const STEP = 16_384

export class SentencePieceEncoder implements WordModel {
  readonly #model: SentencePieceModel
  readonly #table = new MergeTable()
  /** characters that occur in pieces without being one get numbers after the vocabulary's */
  readonly #symbols = new Map<string, number>()
  readonly #texts: string[] = []
  readonly #parts = new Map<number, readonly [number, number]>()

  constructor(model: SentencePieceModel) {
    this.#model = model
    const vocab = model.scores.length
    for (const [piece, id] of model.ids) {
      this.#symbols.set(piece, id)
      this.#texts[id] = piece
    }
    const order = (id: number) => {
      const score = model.scores[id]!
      return Number.isNaN(score) ? Number.NEGATIVE_INFINITY : score
    }
    // Equal scores share a rank, so that the leftmost pair goes first.
    const distinct = [...new Set([...model.ids.values()].map(order))].sort((a, b) => b - a)
    const ranks = new Map(distinct.map((score, rank) => [score, rank]))
    let spare = vocab
    for (const piece of model.ids.keys()) {
      for (const char of piece) {
        if (this.#symbols.has(char)) continue
        this.#texts[spare] = char
        this.#symbols.set(char, spare++)
      }
    }
    // Any split of a piece into two symbols that can exist is a way to make it.
    for (const [piece, id] of model.ids) {
      let cut = 0
      for (const char of piece) {
        cut += char.length
        if (cut >= piece.length) break
        const left = this.#symbols.get(piece.slice(0, cut))
        const right = this.#symbols.get(piece.slice(cut))
        if (left === undefined || right === undefined) continue
        this.#table.add(left, right, ranks.get(order(id))!, id)
        if (model.isUnused(id) && !this.#parts.has(id)) this.#parts.set(id, [left, right])
      }
    }
  }

  /** Appends the ids of `text`, in which spaces are already spelled as U+2581. */
  *encode(text: string, ids: number[]): Steps<void> {
    const symbols: number[] = []
    const strangers: string[] = [] // characters in no piece: symbol -1 - index
    for (const char of text) {
      const symbol = this.#symbols.get(char)
      if (symbol !== undefined) symbols.push(symbol)
      else symbols.push(-strangers.push(char))
      if (symbols.length % STEP === 0) yield
    }
    const merged = symbols.length > STEP ? yield* this.#table.steps(symbols) : this.#table.apply(symbols)
    for (const symbol of merged) {
      if (symbol < 0) this.#bytes(strangers[-1 - symbol]!, ids)
      else this.#emit(symbol, ids)
    }
  }

  #emit(symbol: number, ids: number[]): void {
    const { scores, isUnused } = this.#model
    const parts = symbol < scores.length && isUnused(symbol) ? this.#parts.get(symbol) : undefined
    if (parts) {
      this.#emit(parts[0], ids)
      this.#emit(parts[1], ids)
    } else if (symbol < scores.length) ids.push(symbol)
    else this.#bytes(this.#texts[symbol]!, ids)
  }

  #bytes(char: string, ids: number[]): void {
    const { byteIds, unkId } = this.#model
    const found = Array.from(encodeUtf8(char), (byte) => byteIds[byte])
    if (found.every((id) => id !== undefined)) ids.push(...found)
    else if (unkId !== undefined) ids.push(unkId)
  }
}
