// Runs the command line as a user would: dist/cli.js in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../../ir/package-root.ts'

export const story = join(packageRoot(), 'models/story-3m')
export const cli = join(packageRoot(), 'dist/cli.js')

export interface Outcome {
  /** null when a signal ended it */
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface CliOptions {
  readonly stdin?: string
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  /** called with the process once it runs */
  readonly onStart?: (child: ChildProcess) => void
}

/** The child leads a process group of its own, so that a test can signal it and its compilers as a terminal does. */
export function rocmforge(args: readonly string[], options: CliOptions = {}): Promise<Outcome> {
  const child = spawn(process.execPath, [cli, ...args], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    detached: true,
    stdio: 'pipe',
  })
  const texts = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (texts.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (texts.stderr += text))
  child.stdin.on('error', () => {}) // it may end without reading
  child.stdin.end(options.stdin ?? '')
  options.onStart?.(child)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, ...texts }))
  })
}

/** Signals a process and all that it started, as Ctrl-C does. */
export function signalGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid!, signal)
  } catch {
    // ended already
  }
}
