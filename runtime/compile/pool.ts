// Child processes that compile, one job at a time each: started when there is work, kept while more may come, killed
// when a job takes too long, is no longer wanted, or when their parent is done.
import { type ChildProcess, spawn } from 'node:child_process'
import type { DisassemblyJob, WorkerJob, WorkerReply } from './protocol.ts'

/** How one job ended, as far as the pool can tell. */
type PoolOutcome =
  | { readonly kind: 'reply'; readonly reply: WorkerReply }
  | { readonly kind: 'timeout' }
  /** the process ended without an answer */
  | { readonly kind: 'died'; readonly how: string; readonly stderr: string }

export interface CompilePoolOptions {
  /** bundle of compile-worker.ts */
  readonly entry: string
  /** words before `node` */
  readonly launcher: readonly string[]
  readonly timeoutMs: number
  /** an idle child is ended after this long: each holds some 130 MB; default 10 s */
  readonly idleMs?: number
}

/** Environment variables that would change the code or where it comes from, in silence. */
const changesCompilation =
  /^(HIPRTC_|AMD_COMGR_|GPU_ENABLE_WGP_MODE$|NVRTC_|NVCC_|NODE_OPTIONS$|NODE_CHANNEL|VITEST|LLVM_|COMPILER_PATH$|CPATH$|C_INCLUDE_PATH$|CPLUS_INCLUDE_PATH$|CCC_OVERRIDE_OPTIONS$)/

export function compilerEnvironment(env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !changesCompilation.test(name))
  return { ...Object.fromEntries(kept), AMD_COMGR_CACHE: '0' }
}

interface Child {
  readonly process: ChildProcess
  stderr: string
  idle: NodeJS.Timeout | undefined
}

const stderrLimit = 16_384

export class CompilePool {
  readonly #options: CompilePoolOptions
  readonly #idle: Child[] = []
  readonly #busy = new Set<Child>()
  #disposed = false

  constructor(options: CompilePoolOptions) {
    this.#options = options
  }

  /** Runs a job on an idle child or a new one; how many run at once is the caller's to bound. */
  run(job: WorkerJob | DisassemblyJob, signal?: AbortSignal): Promise<PoolOutcome> {
    signal?.throwIfAborted()
    const child = this.#acquire()
    return new Promise((resolve, reject) => {
      const settle = (keep: boolean, action: () => void) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        child.process.removeAllListeners('message').removeAllListeners('close').removeAllListeners('error')
        child.process.on('error', () => {}) // late news of a process we gave up
        this.#release(child, keep)
        action()
      }
      const timer = setTimeout(() => settle(false, () => resolve({ kind: 'timeout' })), this.#options.timeoutMs)
      const onAbort = () => settle(false, () => reject(signal!.reason))
      signal?.addEventListener('abort', onAbort)
      child.process.on('message', (reply) =>
        settle(true, () => resolve({ kind: 'reply', reply: reply as WorkerReply })),
      )
      const died = (how: string) => settle(false, () => resolve({ kind: 'died', how, stderr: child.stderr.trim() }))
      child.process.on('error', (error) => died(error.message))
      // close, not exit: what it wrote last must have arrived
      child.process.on('close', (status, by) => died(by ? `died of ${by}` : `exited with status ${status}`))
      child.process.send(job, (error) => {
        if (error && child.process.pid === undefined) died(error.message)
      })
    })
  }

  #acquire(): Child {
    const child = this.#idle.pop() ?? this.#start()
    clearTimeout(child.idle)
    child.stderr = ''
    child.process.ref()
    child.process.channel?.ref()
    this.#busy.add(child)
    return child
  }

  #release(child: Child, keep: boolean): void {
    this.#busy.delete(child)
    if (!keep || this.#disposed || !child.process.connected) {
      child.process.kill('SIGKILL')
      return
    }
    child.process.unref() // an idle child keeps nobody from exiting
    child.process.channel?.unref()
    child.process.once('close', () => this.#forget(child))
    child.idle = setTimeout(() => {
      this.#forget(child)
      child.process.kill('SIGKILL')
    }, this.#options.idleMs ?? 10_000)
    child.idle.unref()
    this.#idle.push(child)
  }

  #forget(child: Child): void {
    const at = this.#idle.indexOf(child)
    if (at >= 0) this.#idle.splice(at, 1)
  }

  #start(): Child {
    const { launcher, entry } = this.#options
    const [program, ...args] = [...launcher, process.execPath, entry]
    const started = spawn(program!, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'advanced', // code objects are bytes
      env: compilerEnvironment(),
    })
    const child: Child = { process: started, stderr: '', idle: undefined }
    started.stderr!.setEncoding('utf8').on('data', (text: string) => {
      child.stderr = (child.stderr + text).slice(-stderrLimit)
    })
    ;(started.stderr as unknown as { unref?: () => void }).unref?.() // as the process itself
    return child
  }

  [Symbol.dispose](): void {
    this.#disposed = true
    for (const child of [...this.#idle, ...this.#busy]) child.process.kill('SIGKILL')
    this.#idle.length = 0
  }
}
