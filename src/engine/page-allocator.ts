// Which pages of the KV cache are free. A page belongs to one sequence; none is lost, none is given twice.
import { fail, invariant } from '../../ir/diagnostic.ts'

export class PageAllocator {
  readonly pages: number
  readonly #free: number[]
  readonly #used = new Set<number>()

  constructor(pages: number) {
    this.pages = pages
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i)
  }

  get free(): number {
    return this.#free.length
  }

  /** `count` pages, or a Diagnostic `kv-full`. */
  take(count: number): number[] {
    if (count > this.#free.length) {
      fail({
        code: 'kv-full',
        message: `the KV cache has ${this.#free.length} of ${this.pages} pages free, ${count} are needed`,
        help: 'wait for other generations to end, ask for fewer tokens, or load the model with a larger context',
      })
    }
    const taken = this.#free.splice(this.#free.length - count, count).reverse()
    for (const page of taken) this.#used.add(page)
    return taken
  }

  give(pages: readonly number[]): void {
    for (const page of [...pages].reverse()) {
      invariant(this.#used.delete(page), `page ${page} is given back twice`)
      this.#free.push(page)
    }
  }
}
