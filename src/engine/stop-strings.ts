// Ends a text before a stop string: holds back what may become one.

export class StopStrings {
  readonly #stops: readonly string[]
  #held = ''
  #found = false

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop.length > 0)
  }

  get found(): boolean {
    return this.#found
  }

  /** Text that can be shown now that `text` has come. */
  push(text: string): string {
    if (this.#found) return ''
    this.#held += text
    const at = Math.min(...this.#stops.map((stop) => this.#held.indexOf(stop)).filter((i) => i >= 0))
    if (Number.isFinite(at)) {
      this.#found = true
      return this.#take(at)
    }
    return this.#take(this.#held.length - this.#longestBeginning())
  }

  /** What was held back and became no stop string. */
  end(): string {
    return this.#found ? '' : this.#take(this.#held.length)
  }

  #take(length: number): string {
    const ready = this.#held.slice(0, length)
    this.#held = this.#held.slice(length)
    return ready
  }

  /** Length of the longest end of the held text that begins a stop string. */
  #longestBeginning(): number {
    let longest = 0
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, this.#held.length); n > longest; n--) {
        if (stop.startsWith(this.#held.slice(-n))) longest = n
      }
    }
    return longest
  }
}
