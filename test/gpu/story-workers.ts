// Worker threads that write GGUF files and score sequences beside the device's work: as many as there are cores, first come
// first served, each job once.
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'
import type { GgufFileType } from '../gguf-writer.ts'
import type { StoryJob } from './story-worker.ts'

interface Queued {
  readonly job: StoryJob
  readonly resolve: (result: number[]) => void
  readonly reject: (error: Error) => void
}

export class StoryWorkers implements AsyncDisposable {
  readonly #known = new Map<string, Promise<number[]>>()
  readonly #queue: Queued[] = []
  readonly #idle: Worker[] = []
  readonly #all: Worker[] = []
  readonly #limit = Math.max(1, availableParallelism() - 1)

  /** Resolves when the file is there. */
  async write(folder: string, file: string, type: GgufFileType): Promise<void> {
    await this.#run({ kind: 'write', folder, file, type })
  }

  /** How far below the largest logit each token behind the prompt lies; 0 where it is the largest. */
  gaps(file: string, prompt: readonly number[], made: readonly number[]): Promise<number[]> {
    return this.#run({ kind: 'score', file, tokens: [...prompt, ...made], prompt: prompt.length })
  }

  #run(job: StoryJob): Promise<number[]> {
    const key = JSON.stringify(job)
    const known = this.#known.get(key)
    if (known) return known
    const done = new Promise<number[]>((resolve, reject) => this.#queue.push({ job, resolve, reject }))
    done.catch(() => {}) // whoever awaits it hears of it
    this.#known.set(key, done)
    this.#next()
    return done
  }

  #next(): void {
    if (this.#queue.length === 0) return
    const worker = this.#idle.pop() ?? (this.#all.length < this.#limit ? this.#start() : undefined)
    if (!worker) return
    const { job, resolve, reject } = this.#queue.shift()!
    worker.once('message', ({ result, error }: { result?: number[]; error?: string }) => {
      this.#idle.push(worker)
      if (result) resolve(result)
      else reject(new Error(error))
      this.#next()
    })
    worker.postMessage(job)
  }

  #start(): Worker {
    const worker = new Worker(new URL('./story-worker.js', import.meta.url))
    this.#all.push(worker)
    return worker
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#all.map((worker) => worker.terminate()))
  }
}
