// Which pages of the KV cache are free, and who waits for some: first come, first served. A page belongs to one sequence;
// none is lost, none is allocated twice.
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'

interface Waiter {
  readonly count: number
  readonly signal: AbortSignal | undefined
  resolve(pages: number[]): void
  reject(error: unknown): void
}

export class PageAllocator {
  readonly pages: number
  readonly #free: number[]
  readonly #used = new Set<number>()
  #waiting: Waiter[] = []
  readonly #listeners = new Map<AbortSignal, () => void>()
  #closed: Diagnostic | undefined

  constructor(pages: number) {
    this.pages = pages
    this.#free = Array.from({ length: pages }, (_, i) => pages - 1 - i)
  }

  /** pages that nobody has */
  get available(): number {
    return this.#free.length
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /**
   * `count` pages as soon as so many are free, behind those who asked before. Rejects with the Diagnostic `kv-full` where
   * there are not so many at all, or where the program would end without anyone to free them; with the signal's reason;
   * and with what `close` was given.
   */
  allocate(count: number, signal?: AbortSignal): Promise<number[]> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed)
      if (signal?.aborted) return reject(signal.reason)
      if (count > this.pages) return reject(neverFits(count, this.pages))
      if (this.#waiting.length === 0 && count <= this.available) return resolve(this.#take(count))
      const done = () => {
        this.#waiting = this.#waiting.filter((one) => one !== waiter)
        if (signal) this.#unlisten(signal)
        if (this.#waiting.length === 0) process.off('beforeExit', this.#stuck)
      }
      const waiter: Waiter = {
        count,
        signal,
        resolve(pages) {
          done()
          resolve(pages)
        },
        reject(error) {
          done()
          reject(error)
        },
      }
      if (signal) this.#listen(signal)
      if (this.#waiting.length === 0) process.on('beforeExit', this.#stuck)
      this.#waiting.push(waiter)
    })
  }

  /** One listener a signal, however many wait under it: of more than ten Node warns on standard error. */
  #listen(signal: AbortSignal): void {
    if (this.#listeners.has(signal)) return
    const aborted = () => {
      for (const waiter of this.#waiting) if (waiter.signal === signal) waiter.reject(signal.reason)
      this.#serve() // those behind them may fit
    }
    this.#listeners.set(signal, aborted)
    signal.addEventListener('abort', aborted, { once: true })
  }

  #unlisten(signal: AbortSignal): void {
    const aborted = this.#listeners.get(signal)
    if (!aborted || this.#waiting.some((waiter) => waiter.signal === signal)) return
    this.#listeners.delete(signal)
    signal.removeEventListener('abort', aborted)
  }

  #take(count: number): number[] {
    const taken = this.#free.splice(this.#free.length - count, count).reverse()
    for (const page of taken) this.#used.add(page)
    return taken
  }

  #serve(): void {
    for (let next = this.#waiting[0]; next && next.count <= this.available; next = this.#waiting[0])
      next.resolve(this.#take(next.count))
  }

  free(pages: readonly number[]): void {
    for (const page of [...pages].reverse()) {
      invariant(this.#used.delete(page), `page ${page} is freed twice`)
      this.#free.push(page)
    }
    this.#serve()
  }

  /** Nobody gets pages any more; those who wait, and whoever asks later, are told why. */
  close(reason: Diagnostic): void {
    this.#closed = reason
    for (const waiter of [...this.#waiting]) waiter.reject(reason)
  }

  /** The event loop is empty: those who hold the pages wait for us, or were forgotten. */
  readonly #stuck = (): void => {
    const [first] = this.#waiting
    first?.reject(
      new Diagnostic({
        code: 'kv-full',
        message: `a generation waits for ${first.count} pages of the KV cache, and nobody is left who would free any`,
        facts: [['pages', `${this.available} of ${this.pages} are free, generations that nobody reads hold the rest`]],
        help: 'read or leave a generation before the next is awaited, or compile with a larger context or maxBatch',
      }),
    )
  }
}

const neverFits = (count: number, pages: number): Diagnostic =>
  new Diagnostic({
    code: 'kv-full',
    message: `a sequence needs ${count} pages of the KV cache, which has ${pages}`,
    help: 'ask for fewer tokens, or compile with a larger context',
  })
