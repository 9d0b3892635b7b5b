// Which pages of the KV cache are free. A page belongs to one sequence; none is lost, none is given twice.
import { fail, invariant } from '../../ir/diagnostic.ts'

export class PageAllocator {
  readonly pages: number
  readonly #free: number[]
  readonly #used = new Set<number>()
  /** first come, first served */
  #waiting: { readonly count: number; readonly resolve: (pages: number[]) => void }[] = []

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

  /**
   * As take, but waits until so many are free, behind those who asked before; more than there are at all is `kv-full` at once.
   * An abort while it waits gives no pages.
   */
  async takeWhenFree(count: number, signal?: AbortSignal): Promise<number[]> {
    if (count > this.pages || (this.#waiting.length === 0 && count <= this.free)) return this.take(count)
    if (signal?.aborted) return []
    return new Promise((resolve) => {
      const aborted = () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting)
        resolve([])
        this.#serve()
      }
      const waiting = {
        count,
        resolve: (pages: number[]) => {
          signal?.removeEventListener('abort', aborted)
          resolve(pages)
        },
      }
      signal?.addEventListener('abort', aborted, { once: true })
      this.#waiting.push(waiting)
    })
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next && next.count <= this.free; next = this.#waiting[0]) {
      this.#waiting.shift()
      next.resolve(this.take(next.count))
    }
  }

  give(pages: readonly number[]): void {
    for (const page of [...pages].reverse()) {
      invariant(this.#used.delete(page), `page ${page} is given back twice`)
      this.#free.push(page)
    }
    this.#serve()
  }
}
