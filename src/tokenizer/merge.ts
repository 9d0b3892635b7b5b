// The merge loop that byte-pair encoding and SentencePiece share: again and again, join the adjacent pair of symbols
// with the best rank, the leftmost of equals, until no pair has one. A heap over a linked list in typed arrays, so that
// a word of n symbols costs O(n log n): a megabyte of one letter is one word.
import { fail } from '../../ir/diagnostic.ts'

/** Which pairs of symbols merge, into what, and in which order. Symbols are small integers. */
export class MergeTable {
  readonly #lookUp: ((left: number, right: number) => readonly [rank: number, result: number] | undefined) | undefined
  readonly #index = new Map<number, number>()
  readonly #ranks: number[] = []
  readonly #results: number[] = []

  /** `lookUp` knows merges that were not added; it is asked when a text first has the pair. */
  constructor(lookUp?: (left: number, right: number) => readonly [rank: number, result: number] | undefined) {
    this.#lookUp = lookUp
  }

  /** Lower ranks merge first. A pair given twice keeps its better rank. */
  add(left: number, right: number, rank: number, result: number): void {
    const key = pairKey(left, right)
    const known = this.#index.get(key)
    if (known !== undefined && this.#ranks[known]! <= rank) return
    this.#index.set(key, this.#ranks.length)
    this.#ranks.push(rank)
    this.#results.push(result)
  }

  get size(): number {
    return this.#index.size
  }

  /** Merges `symbols` as far as they go. Symbols below 0 never merge. */
  apply(symbols: readonly number[]): number[] {
    const count = symbols.length
    if (count < 2) return symbols.slice()
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
    const merge = new Int32Array(count) // of the pair that starts here: index into ranks and results, or -1
    const heap = new MinHeap()
    const lookUp = (at: number) => {
      const right = next[at]!
      const found = right < count ? this.#find(symbol[at]!, symbol[right]!) : -1
      merge[at] = found
      if (found >= 0) heap.push(this.#ranks[found]! * MAX_SYMBOLS + at)
    }
    for (let at = 0; at < count; at++) {
      next[at] = at + 1
      before[at] = at - 1
    }
    for (let at = 0; at < count; at++) lookUp(at)

    for (let top = heap.pop(); top >= 0; top = heap.pop()) {
      const at = top % MAX_SYMBOLS
      const found = merge[at]!
      // An entry outlives its pair when a neighbour merged first.
      if (found < 0 || this.#ranks[found] !== (top - at) / MAX_SYMBOLS) continue
      const right = next[at]!
      symbol[at] = this.#results[found]!
      merge[right] = -1
      next[at] = next[right]!
      if (next[at]! < count) before[next[at]!] = at
      lookUp(at)
      if (before[at]! >= 0) lookUp(before[at]!)
    }

    const merged: number[] = []
    for (let at = 0; at < count; at = next[at]!) merged.push(symbol[at]!)
    return merged
  }

  #find(left: number, right: number): number {
    if (left < 0 || right < 0) return -1
    const known = this.#index.get(pairKey(left, right))
    if (known !== undefined) return known
    const found = this.#lookUp?.(left, right)
    if (!found) return -1
    this.add(left, right, ...found)
    return this.#ranks.length - 1
  }
}

/** rank · MAX_SYMBOLS + position must stay a safe integer: 2^26 ranks of 2^27 positions */
const MAX_SYMBOLS = 2 ** 27
const pairKey = (left: number, right: number) => left * 2 ** 26 + right

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
