// Scores sequences on the reference executor in worker threads, as many at once as there are cores, each sequence once.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { ScoreJob } from './score-worker.ts'

interface Queued {
  readonly job: ScoreJob
  readonly resolve: (gaps: number[]) => void
  readonly reject: (error: Error) => void
}

export class ReferenceScores implements AsyncDisposable {
  readonly #known = new Map<string, Promise<number[]>>()
  readonly #queue: Queued[] = []
  readonly #idle: Worker[] = []
  readonly #all: Worker[] = []
  readonly #limit = Math.max(1, availableParallelism() - 1)

  /** How far below the largest logit each token behind the prompt lies; 0 where it is the largest. */
  gaps(file: string, prompt: readonly number[], made: readonly number[]): Promise<number[]> {
    const key = JSON.stringify([file, prompt, made])
    const known = this.#known.get(key)
    if (known) return known
    const scored = new Promise<number[]>((resolve, reject) => {
      this.#queue.push({ job: { file, tokens: [...prompt, ...made], prompt: prompt.length }, resolve, reject })
    })
    scored.catch(() => {}) // whoever awaits it hears of it
    this.#known.set(key, scored)
    this.#next()
    return scored
  }

  #next(): void {
    if (this.#queue.length === 0) return
    const worker = this.#idle.pop() ?? (this.#all.length < this.#limit ? this.#start() : undefined)
    if (!worker) return
    const { job, resolve, reject } = this.#queue.shift()!
    worker.once('message', ({ gaps, error }: { gaps?: number[]; error?: string }) => {
      this.#idle.push(worker)
      if (gaps) resolve(gaps)
      else reject(new Error(error))
      this.#next()
    })
    worker.postMessage(job)
  }

  #start(): Worker {
    const worker = new Worker(new URL('./score-worker.js', import.meta.url))
    this.#all.push(worker)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()))
  }
}
