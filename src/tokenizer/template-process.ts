// Keeps one warm child process that renders chat templates, one at a time, and ends it when a template misbehaves.
import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import type { RenderJob, RenderResult } from './template-render.ts'

/** time that one template may take */
export const TEMPLATE_TIMEOUT_MS = 2000
/** memory that a template's values may take */
export const TEMPLATE_MEMORY_MB = 256
/** the child stops a template by itself; this much later, its own start on a busy machine included, the parent stops it */
const GRACE_MS = 10_000

/** What came of a job; `killed` when the child died of it, usually for memory. */
type Outcome = RenderResult | { readonly kind: 'killed' }

let child: ChildProcess | undefined
let queue: Promise<unknown> = Promise.resolve()

/** Renders after the jobs before it have ended. Never rejects for what a template does. */
export function renderInProcess(job: Omit<RenderJob, 'timeoutMs'>): Promise<Outcome> {
  const outcome = queue.then(() => run({ ...job, timeoutMs: TEMPLATE_TIMEOUT_MS }))
  queue = outcome.catch(() => {}) // the caller hears of it; the next job does not care
  return outcome
}

function run(job: RenderJob): Promise<Outcome> {
  const worker = warmChild()
  return new Promise((resolve) => {
    const failed = (error: Error) => {
      if (child === worker) child = undefined
      settle({ kind: 'failed', message: `its process cannot run: ${error.message}`, line: undefined })
    }
    const settle = (outcome: Outcome) => {
      clearTimeout(timer)
      worker.off('message', settle)
      worker.off('exit', died)
      worker.off('error', failed)
      hold(worker, false)
      resolve(outcome)
    }
    const died = () => {
      if (child === worker) child = undefined
      settle({ kind: 'killed' })
    }
    const timer = setTimeout(() => {
      child = undefined
      worker.kill('SIGKILL')
      settle({ kind: 'timeout' })
    }, job.timeoutMs + GRACE_MS)
    worker.on('message', settle)
    worker.on('exit', died)
    worker.on('error', failed)
    hold(worker, true)
    worker.send(job, (error) => {
      if (error) failed(error)
    })
  })
}

/** A child that works keeps the program alive; an idle one does not. */
function hold(worker: ChildProcess, busy: boolean): void {
  if (busy) {
    worker.ref()
    worker.channel?.ref()
  } else {
    worker.unref()
    worker.channel?.unref()
  }
}

function warmChild(): ChildProcess {
  if (child?.connected) return child
  const entry = join(packageRoot(), 'dist', 'template-worker.js')
  if (!existsSync(entry)) {
    fail({ code: 'not-built', message: `${entry} is missing`, help: 'build the package: npm run build' })
  }
  const { NODE_OPTIONS: _, ...env } = process.env // a debugger's options are not for the child
  child = fork(entry, [], {
    execArgv: [`--max-old-space-size=${TEMPLATE_MEMORY_MB}`],
    env,
    serialization: 'json',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  child.on('error', () => {}) // heard by the job that runs; between jobs it must not end the program
  return child
}
