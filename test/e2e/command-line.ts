// Runs of the built command line as processes of their own.
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../ir/package-root.ts'

export interface CliResult {
  /** null: ended by a signal */
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** What `run --json` prints. */
export interface RunReport {
  readonly tokenIds: readonly number[]
  readonly text: string
  readonly device: string
  readonly timings: { readonly kernels: number; readonly kernelsFromCache: number }
}

export const cliPath = join(packageRoot(), 'dist/cli.js')

/** Starts the command line; `undefined` in `env` takes a variable away. */
export function startCli(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): { readonly child: ChildProcess; readonly ended: Promise<CliResult> } {
  const whole = Object.fromEntries(
    Object.entries({ ...process.env, ...env }).filter(([, value]) => value !== undefined),
  )
  const child = spawn(process.execPath, [cliPath, ...args], { env: whole, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (part) => {
    text.stdout += part
  })
  child.stderr.setEncoding('utf8').on('data', (part) => {
    text.stderr += part
  })
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve({ status, signal, ...text }))
  })
  return { child, ended }
}

export const cli = (
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<CliResult> => startCli(args, env).ended

/** The JSON report; standard output holds nothing else. */
export function reportOf({ status, stdout, stderr }: CliResult): RunReport {
  if (status !== 0) throw new Error(`the run ended with ${status}\n${stderr}`)
  return JSON.parse(stdout)
}

/** The code of the Diagnostic that a run with --json ended with. */
export function errorCodeOf({ stderr }: CliResult): string {
  const line = stderr.split('\n').find((one) => one.startsWith('{"error"'))
  return line ? JSON.parse(line).error.code : `none in ${JSON.stringify(stderr)}`
}
