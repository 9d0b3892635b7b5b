// Runs launches in a child process with a device of its own: a kernel that is wrong may fault, corrupt memory or never end,
// and must take no more with it than that process. A child runs many jobs; behind one that went wrong comes a fresh one.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import type { Driver, DriverOrigin } from '../platform/driver.ts'
import { type LaunchJob, runLaunches } from './launch-job.ts'

export interface CheckRequest {
  readonly open: DriverOrigin
  readonly job: LaunchJob
}

export type CheckAnswer =
  | { readonly kind: 'done'; readonly results: readonly Uint8Array[] }
  /** a call of the driver failed */
  | { readonly kind: 'error'; readonly message: string }
  | { readonly kind: 'no-memory'; readonly message: string }
  /** another process has the device for itself */
  | { readonly kind: 'unopened'; readonly message: string }

/** What came of a job; `crashed`: the process ended, or did not end in time. */
type JobOutcome = Exclude<CheckAnswer, { kind: 'unopened' }> | { readonly kind: 'crashed'; readonly message: string }

export interface JobRunner extends Disposable {
  run(job: LaunchJob): Promise<JobOutcome>
}

/** how long a job may take, ms: the largest weights on one core that emulates a GPU take a tenth of it */
const jobTimeoutMs = 120_000

export class CheckProcess implements JobRunner {
  readonly #driver: Driver
  readonly #timeoutMs: number
  #child: ChildProcess | undefined
  #mayFork = true

  /** `driver` says which device; it is used itself only where no other process can open that */
  constructor(driver: Driver, options: { readonly timeoutMs?: number } = {}) {
    this.#driver = driver
    this.#timeoutMs = options.timeoutMs ?? jobTimeoutMs
  }

  async run(job: LaunchJob): Promise<JobOutcome> {
    if (this.#mayFork) {
      const answer = await this.#ask(job)
      if (answer.kind !== 'done') this.#end() // a context that has seen a fault answers nothing but faults
      if (answer.kind !== 'unopened') return answer
      this.#mayFork = false
    }
    return { kind: 'done', results: runLaunches(this.#driver, job) }
  }

  #ask(job: LaunchJob): Promise<CheckAnswer | JobOutcome> {
    const child = this.#open()
    return new Promise((resolve) => {
      const settle = (answer: CheckAnswer | JobOutcome): void => {
        clearTimeout(timer)
        child.off('message', settle)
        child.off('exit', ended)
        child.off('error', broken)
        resolve(answer)
      }
      const ended = (code: number | null, signal: string | null): void =>
        settle({ kind: 'crashed', message: `its process ended with ${signal ?? `exit code ${code}`}` })
      const broken = (error: Error): void =>
        settle({ kind: 'crashed', message: `its process cannot run: ${error.message}` })
      const timer = setTimeout(
        () => settle({ kind: 'crashed', message: `it did not end within ${this.#timeoutMs / 1000} s` }),
        this.#timeoutMs,
      )
      child.on('message', settle)
      child.on('exit', ended)
      child.on('error', broken)
      const request: CheckRequest = { open: this.#driver.origin, job }
      child.send(request, (error) => {
        if (error) broken(error)
      })
    })
  }

  #open(): ChildProcess {
    if (this.#child?.connected) return this.#child
    const program = join(packageRoot(), 'dist', 'check-worker.js')
    if (!existsSync(program))
      fail({ code: 'not-built', message: `${program} is missing`, help: 'build the package: npm run build' })
    const { NODE_OPTIONS: _, ...env } = process.env // a debugger's options are not for the child
    this.#child = fork(program, [], {
      execArgv: [],
      env: { ...env, ELECTRON_RUN_AS_NODE: '1' },
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'], // what a crash prints would stand in our own output
    })
    this.#child.on('error', () => {}) // heard by the job that runs
    return this.#child
  }

  #end(): void {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  [Symbol.dispose](): void {
    this.#end()
  }
}
