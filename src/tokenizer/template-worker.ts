// The child process in which chat templates run. A process and not a thread: a template can ask for one huge string,
// and V8 then ends the whole process in which it runs, whatever limits a worker thread has. It stops a template that
// never ends by itself, so that nothing is left running when the parent dies; the parent's own limit stands behind.
import { Script } from 'node:vm'
import { type RenderJob, type RenderResult, renderJob } from './template-render.ts'

const script = new Script('renderPendingJob()')
let pending: RenderJob | undefined
Object.assign(globalThis, { renderPendingJob: () => renderJob(pending!) })

process.on('message', (job: RenderJob) => {
  pending = job
  let result: RenderResult
  try {
    result = script.runInThisContext({ timeout: job.timeoutMs, breakOnSigint: false })
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    result = { kind: 'timeout' }
  }
  process.send!(result)
})
process.on('disconnect', () => process.exit())
process.on('SIGINT', () => {}) // an interrupt at the terminal is the parent's to handle
