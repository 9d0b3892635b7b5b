// A map from pairs of small non-negative integers to such an integer: open addressing in typed arrays, a quarter of the
// memory and several times the speed of a Map of joined keys.

const EMPTY = -1

export class PairMap {
  #left: Int32Array
  #right: Int32Array
  #value: Int32Array
  #mask: number
  #size = 0

  constructor(expected = 16) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, expected * 1.6)))
    this.#left = new Int32Array(slots).fill(EMPTY)
    this.#right = new Int32Array(slots)
    this.#value = new Int32Array(slots)
    this.#mask = slots - 1
  }

  get size(): number {
    return this.#size
  }

  /** The value of a pair, or -1. */
  get(left: number, right: number): number {
    const slot = this.#slot(left, right)
    return this.#left[slot] === EMPTY ? -1 : this.#value[slot]!
  }

  set(left: number, right: number, value: number): void {
    if (this.#size * 1.5 > this.#mask) this.#grow()
    const slot = this.#slot(left, right)
    if (this.#left[slot] === EMPTY) this.#size++
    this.#left[slot] = left
    this.#right[slot] = right
    this.#value[slot] = value
  }

  /** The slot that has the pair, or the empty one where it belongs. */
  #slot(left: number, right: number): number {
    let hash = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca77)
    hash ^= hash >>> 15
    let slot = (Math.imul(hash, 0x2c1b3c6d) >>> 3) & this.#mask
    while (this.#left[slot] !== EMPTY && (this.#left[slot] !== left || this.#right[slot] !== right)) {
      slot = (slot + 1) & this.#mask
    }
    return slot
  }

  #grow(): void {
    const bigger = new PairMap(this.#left.length * 1.2)
    for (let slot = 0; slot < this.#left.length; slot++) {
      if (this.#left[slot] !== EMPTY) bigger.set(this.#left[slot]!, this.#right[slot]!, this.#value[slot]!)
    }
    this.#left = bigger.#left
    this.#right = bigger.#right
    this.#value = bigger.#value
    this.#mask = bigger.#mask
  }
}
