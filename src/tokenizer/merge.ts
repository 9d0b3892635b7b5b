// The merge loop that byte-pair encoding and SentencePiece share: again and again, join the adjacent pair of symbols
// with the best rank, the leftmost of equals, until no pair has one. A heap over a linked list in typed arrays, so that
// a word of n symbols costs O(n log n): a megabyte of one letter is one word. Short words are searched through instead.
import { fail } from '../../ir/diagnostic.ts'
import { PairMap } from './pair-map.ts'
import { finish, type Steps } from './steps.ts'

/** words up to this length are searched for their best pair again for each merge */
const SHORT = 24
const NONE = -1
/** merges of a long word between two steps */
const STEP = 16_384

/** Which pairs of symbols merge, into what, and in which order. Symbols are small integers. */
export class MergeTable {
  /** pair → place in ranks and results */
  readonly #pairs: PairMap
  readonly #ranks: number[] = []
  readonly #results: number[] = []
  readonly #symbols = new Int32Array(SHORT)
  readonly #merges = new Int32Array(SHORT)

  constructor(expected?: number) {
    this.#pairs = new PairMap(expected)
  }

  /** Lower ranks merge first. A pair given twice keeps its better rank, or with `again` the later one. */
  add(left: number, right: number, rank: number, result: number, again: 'better' | 'later' = 'better'): void {
    const known = this.#pairs.get(left, right)
    if (known >= 0 && again === 'better' && this.#ranks[known]! <= rank) return
    this.#pairs.set(left, right, this.#ranks.length)
    this.#ranks.push(rank)
    this.#results.push(result)
  }

  get size(): number {
    return this.#pairs.size
  }

  /** Merges `symbols` as far as they go. Symbols below 0 never merge. */
  apply(symbols: readonly number[]): number[] {
    if (symbols.length < 2) return symbols.slice()
    return symbols.length <= SHORT ? this.#applyShort(symbols) : finish(this.steps(symbols))
  }

  #applyShort(given: readonly number[]): number[] {
    const symbols = this.#symbols
    const merges = this.#merges // of the pair that starts here
    let count = given.length
    for (let at = 0; at < count; at++) symbols[at] = given[at]!
    for (let at = 0; at + 1 < count; at++) merges[at] = this.#find(symbols[at]!, symbols[at + 1]!)
    for (;;) {
      let best = NONE
      let bestRank = Number.POSITIVE_INFINITY
      for (let at = 0; at + 1 < count; at++) {
        const merge = merges[at]!
        if (merge < 0 || this.#ranks[merge]! >= bestRank) continue
        best = at
        bestRank = this.#ranks[merge]!
      }
      if (best < 0) break
      symbols[best] = this.#results[merges[best]!]!
      count--
      symbols.copyWithin(best + 1, best + 2, count + 1)
      merges.copyWithin(best + 1, best + 2, count)
      if (best + 1 < count) merges[best] = this.#find(symbols[best]!, symbols[best + 1]!)
      if (best > 0) merges[best - 1] = this.#find(symbols[best - 1]!, symbols[best]!)
    }
    return Array.from(symbols.subarray(0, count))
  }

  /** `apply` for words of any length. */
  *steps(symbols: readonly number[]): Steps<number[]> {
    const count = symbols.length
    if (count > MAX_SYMBOLS) {
      fail({
        code: 'text-too-long',
        message: `a text of ${count} characters without a break is too long to tokenize`,
        facts: [['limit', `${MAX_SYMBOLS} characters`]],
        help: 'send the text in parts',
      })
    }
    const symbol = Int32Array.from(symbols)
    const next = new Int32Array(count)
    const before = new Int32Array(count)
    const merge = new Int32Array(count) // of the pair that starts here, or -1
    const heap = new MinHeap()
    const lookUp = (at: number) => {
      const right = next[at]!
      const found = right < count ? this.#find(symbol[at]!, symbol[right]!) : NONE
      merge[at] = found
      if (found >= 0) heap.push(this.#ranks[found]! * MAX_SYMBOLS + at)
    }
    for (let at = 0; at < count; at++) {
      next[at] = at + 1
      before[at] = at - 1
    }
    for (let at = 0; at < count; at++) {
      lookUp(at)
      if (at % STEP === STEP - 1) yield
    }

    let done = 0
    for (let top = heap.pop(); top >= 0; top = heap.pop()) {
      if (++done % STEP === 0) yield
      const at = top % MAX_SYMBOLS
      const found = merge[at]!
      // An entry outlives its pair when a neighbour merged first.
      if (found < 0 || this.#ranks[found] !== (top - at) / MAX_SYMBOLS) continue
      const right = next[at]!
      symbol[at] = this.#results[found]!
      merge[right] = NONE
      next[at] = next[right]!
      if (next[at]! < count) before[next[at]!] = at
      lookUp(at)
      if (before[at]! >= 0) lookUp(before[at]!)
    }

    const merged: number[] = []
    for (let at = 0; at < count; at = next[at]!) merged.push(symbol[at]!)
    return merged
  }

  /** The merge of a pair, or -1. */
  #find(left: number, right: number): number {
    return left < 0 || right < 0 ? NONE : this.#pairs.get(left, right)
  }
}

/** rank · MAX_SYMBOLS + position must stay a safe integer: 2^26 ranks of 2^27 positions */
const MAX_SYMBOLS = 2 ** 27

/** A binary heap of non-negative numbers, smallest first. */
class MinHeap {
  readonly #items: number[] = []

  push(item: number): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (items[parent]! <= item) break
      items[at] = items[parent]!
      at = parent
    }
    items[at] = item
  }

  /** The smallest item, or -1 when empty. */
  pop(): number {
    const items = this.#items
    if (items.length === 0) return -1
    const top = items[0]!
    const last = items.pop()!
    const count = items.length
    if (count === 0) return top
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= count) break
      if (child + 1 < count && items[child + 1]! < items[child]!) child++
      if (items[child]! >= last) break
      items[at] = items[child]!
      at = child
    }
    items[at] = last
    return top
  }
}
