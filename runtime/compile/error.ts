// What goes wrong in a run-time compiler, as the user's error: template and line, defines, and a command that shows it
// again. The failed program is kept on disk for that command.

import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Diagnostic, type Fact } from '../../ir/diagnostic.ts'
import type { DiagnosticCode } from '../../ir/diagnostic-codes.ts'
import { makeFolder } from '../cache/file-layer.ts'
import { compilerErrors } from '../host/compile-error.ts'
import type { WorkerJob } from './protocol.ts'
import type { Toolchain } from './toolchains.ts'

export interface FailedJob {
  readonly job: WorkerJob
  readonly toolchain: Toolchain
  /** the target's full id */
  readonly target: string
  /** key of the kernel in the cache */
  readonly key: string
  /** bundle of compile-worker.ts */
  readonly entry: string
  /** where failed programs are kept */
  readonly folder: string
}

const shown = 3
const kept = 16

export const toolchainName = ({ family, version }: Pick<Toolchain, 'family' | 'version'>): string =>
  `${family === 'hiprtc' ? 'hipRTC' : 'NVRTC'} ${version}`

/** The compiler said no: its first errors, at the template's lines. */
export function refusedError(failed: FailedJob, codeName: string, log: string): Diagnostic {
  const errors = compilerErrors(log)
  const lines: Fact[] = errors.slice(0, shown).map((text) => ['at', text])
  if (errors.length > shown) lines.push(['', `and ${errors.length - shown} more`])
  if (errors.length === 0) lines.push(['said', codeName])
  return compileError(failed, 'kernel-compile', 'cannot compile', lines, 'mend the line named above')
}

/** The compiler's process ended without an answer. */
export function crashedError(failed: FailedJob, how: string, stderr: string): Diagnostic {
  const last = stderr.split('\n').filter((line) => line.trim() !== '')
  const lines: Fact[] = [['process', how], ...last.slice(0, shown).map((text): Fact => ['said', text.slice(0, 300)])]
  return compileError(
    failed,
    'compiler-crashed',
    'crashed on',
    lines,
    'the program that crashed it is in the folder of the command; another release may take it (ROCMFORGE_HIPRTC)',
  )
}

export function timeoutError(failed: FailedJob, timeoutMs: number): Diagnostic {
  const lines: Fact[] = [['after', `${timeoutMs / 1000} s`]]
  const help = 'the command shows whether it ever ends; another release may (ROCMFORGE_HIPRTC)'
  return compileError(failed, 'compile-timeout', 'did not finish', lines, help)
}

function compileError(
  failed: FailedJob,
  code: DiagnosticCode,
  verb: string,
  lines: readonly Fact[],
  help: string,
): Diagnostic {
  const { job, toolchain, target } = failed
  const defines = job.options.filter((option) => option.startsWith('-D'))
  const command = keepProgram(failed)
  return new Diagnostic({
    code,
    message: `${toolchainName(toolchain)} ${verb} ${job.name} for ${target}`,
    facts: [
      ...lines,
      ['with', defines.join(' ') || 'no defines'],
      ...(command ? [['command', command.map(quote).join(' ')] as const] : []),
    ],
    help,
  })
}

/** Writes source and job to a folder of their own; the words that repeat the job, or undefined on a read-only disk. */
function keepProgram({ job, toolchain, key, entry, folder }: FailedJob): string[] | undefined {
  try {
    const own = join(folder, key.slice(0, 16))
    makeFolder(own)
    const { family, hip, nvrtc } = toolchain
    const file = { toolchain: { family, hip, nvrtc }, target: job.target, name: job.name, source: 'kernel.hip' }
    writeFileSync(join(own, 'kernel.hip'), job.source)
    writeFileSync(join(own, 'job.json'), `${JSON.stringify({ ...file, options: job.options }, null, 2)}\n`)
    forgetOldest(folder)
    return [...toolchain.launcher, process.execPath, entry, join(own, 'job.json')]
  } catch {
    return undefined
  }
}

function forgetOldest(folder: string): void {
  const own = readdirSync(folder).map((name) => ({
    path: join(folder, name),
    at: statSync(join(folder, name)).mtimeMs,
  }))
  for (const { path } of own.sort((a, b) => b.at - a.at).slice(kept)) rmSync(path, { recursive: true, force: true })
}

const quote = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)
