// One compiler or runner process: its output as bytes, within a time limit, gone with all its children when it is
// stopped or we exit. Compiler drivers start compilers of their own, so the whole process group is killed.
import { type ChildProcess, spawn } from 'node:child_process'

export interface Finished {
  /** exit status; null when a signal or the time limit ended it */
  readonly status: number | null
  readonly signal: string | null
  readonly timedOut: boolean
  readonly stdout: string
  /** the first MiB */
  readonly stderr: string
}

interface ProcessOptions {
  /** given on standard input */
  readonly input?: string
  readonly timeoutMs: number
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
}

const outputLimit = 1 << 20
const running = new Set<ChildProcess>()

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    child.kill('SIGKILL') // it has ended, or the system knows no groups
  }
}

process.on('exit', () => running.forEach(killGroup))

/** Rejects only when the program cannot be started (ENOENT, EACCES) or with the reason of `signal`. */
export function runProcess(command: readonly string[], options: ProcessOptions): Promise<Finished> {
  options.signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    const child = spawn(command[0]!, command.slice(1), {
      detached: process.platform !== 'win32',
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...options.env },
    })
    running.add(child)
    const output = { stdout: '', stderr: '' }
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8')
      child[name].on('data', (text: string) => {
        if (output[name].length < outputLimit) output[name] += text
      })
    }
    let timedOut = false
    const timer = setTimeout(() => {
      timedOut = true
      killGroup(child)
    }, options.timeoutMs)
    const onAbort = () => killGroup(child)
    options.signal?.addEventListener('abort', onAbort)
    const settle = (action: () => void) => {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', onAbort)
      running.delete(child)
      action()
    }
    child.on('error', (error) => settle(() => reject(error)))
    child.on('close', (status, signal) =>
      settle(() => {
        if (options.signal?.aborted) reject(options.signal.reason)
        else resolve({ status, signal, timedOut, ...output })
      }),
    )
    child.stdin.on('error', () => {}) // it may end before it has read everything: its status tells
    child.stdin.end(options.input ?? '')
  })
}
