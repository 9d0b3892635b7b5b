// The child process that holds hipRTC or NVRTC: it may abort, crash or hang without harm to anybody. Started by the
// compile service it answers jobs one after the other; started by hand, `node dist/compile-worker.js JOB.json` repeats
// a job that an error message named, and writes the code object beside it.
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { disassemble } from '../platform/disassemble.ts'
import { comgrTargets, openHipRtc, openNvrtc, type RunTimeCompiler } from '../platform/rtc.ts'
import { type DisassemblyJob, jobFile, type WorkerJob, type WorkerReply } from './protocol.ts'

interface Loaded {
  readonly compiler: RunTimeCompiler
  /** the names it can be asked for; asking for another may abort the process */
  readonly targets: readonly string[]
}

const loaded = new Map<string, Loaded>()

function load({ family, hip, nvrtc }: WorkerJob['toolchain']): Loaded {
  const key = hip?.compiler?.path ?? nvrtc?.path ?? ''
  let found = loaded.get(key)
  if (!found) {
    if (family === 'nvrtc') {
      const compiler = openNvrtc(nvrtc!)
      found = { compiler, targets: compiler.targets.map((number) => `sm_${number}`) }
    } else {
      const compiler = openHipRtc(hip!) // first: it says clearly what is missing
      found = { compiler, targets: comgrTargets(hip!.comgr!) }
    }
    loaded.set(key, found)
  }
  return found
}

function answer(job: WorkerJob | DisassemblyJob): WorkerReply {
  const { id } = job
  try {
    if ('comgr' in job) {
      const text = disassemble(job.comgr, job.target, job.image)
      return { id, kind: 'disassembled', ...(text === undefined ? {} : { text }) }
    }
    const { compiler, targets } = load(job.toolchain)
    if (targets.length > 0 && !targets.includes(job.target)) return { id, kind: 'unknown-target', known: targets }
    const { code, codeName, log, image } = compiler.compile(job)
    return { id, kind: 'done', code, codeName, log: cleanLog(log), ...(image ? { image } : {}) }
  } catch (error) {
    if (error instanceof Diagnostic) return { id, kind: 'failed', diagnostic: error.toJSON() }
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { id, kind: 'failed', diagnostic: { code: 'compile-worker', message: text, help: 'please report this' } }
  }
}

/** Without the temporary folder that comgr compiles in; NVRTC's places written as the others write them. */
const cleanLog = (log: string): string =>
  log
    .replaceAll(/\S*comgr-[^/\s]*\/input\//g, '')
    .replaceAll(
      /^(\S+)\((\d+)\): (catastrophic error|error|warning)/gm,
      (_, file, line, kind) => `${file}:${line}: ${kind.replace('catastrophic', 'fatal')}`,
    )

function serve(): void {
  process.on('message', (job: WorkerJob | DisassemblyJob) => process.send!(answer(job)))
  process.on('disconnect', () => process.exit(0))
  process.on('SIGINT', () => {}) // the service decides: it ends us when the user's interrupt ends the work
  // A compile blocks this thread, perhaps for ever; this one sees that the parent is gone and ends the process.
  const watch = new Worker(
    `const { workerData: parent } = require('node:worker_threads')
     setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL') }, 500)`,
    { eval: true, workerData: process.ppid }, // asked here: the parent may be gone before that thread runs
  )
  watch.unref()
}

function repeat(path: string): void {
  const job = jobFile.parse(JSON.parse(readFileSync(path, 'utf8')))
  const source = readFileSync(join(dirname(path), job.source), 'utf8')
  const reply = answer({ ...job, toolchain: job.toolchain as WorkerJob['toolchain'], source, id: 0 })
  if (reply.kind === 'done') {
    process.stderr.write(`${reply.codeName}\n${reply.log}\n`)
    const output = join(dirname(path), 'code-object')
    if (reply.image) writeFileSync(output, reply.image)
    if (reply.image) process.stderr.write(`wrote ${output}\n`)
    process.exitCode = reply.code === 0 ? 0 : 1
  } else {
    const text =
      reply.kind === 'unknown-target'
        ? `knows only ${reply.known.join(' ')}`
        : reply.kind === 'failed'
          ? new Diagnostic(reply.diagnostic).message
          : ''
    process.stderr.write(`${text}\n`)
    process.exitCode = 1
  }
}

if (process.send) serve()
else if (process.argv[2]) repeat(process.argv[2])
else process.stderr.write('usage: node compile-worker.js JOB.json\n')
