// Runs the device probe as a child process with a time limit, so that a runtime that crashes or hangs costs one line
// in a report.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { packageRoot } from '../../ir/package-root.ts'
import { type ProbeAnswer, probeAnswerSchema, probeMarker } from './probe-answer.ts'

export interface ProbeOptions {
  readonly platform: 'amd' | 'nvidia'
  /** absolute path of the runtime library */
  readonly library: string
  /** ask for free memory too: makes a context on every device, which takes a while */
  readonly askMemory?: boolean
  /** default 30 000: some machines take 10 s to wake their GPU */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
  /** called once when the runtime has not answered after 3 s */
  readonly onSlow?: () => void
  /** the program that probes; default the one of this package */
  readonly program?: string
}

const slowMs = 3000

/** Asks, and never rejects: a crash, a hang and nonsense are answers of status `failed`. */
export function runProbe(options: ProbeOptions): Promise<ProbeAnswer> {
  const { platform, library, askMemory = false, timeoutMs = 30_000, onSlow } = options
  const program = options.program ?? join(packageRoot(), 'dist', 'device-probe.js')
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [program, platform, library, ...(askMemory ? ['memory'] : [])], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      ...(options.signal ? { signal: options.signal } : {}),
    })
    let output = ''
    let errors = ''
    let timedOut = false
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-1_000_000)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors = (errors + text).slice(-4000)
    })
    const slow = setTimeout(() => onSlow?.(), slowMs)
    const limit = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, timeoutMs)
    const end = (answer: ProbeAnswer): void => {
      clearTimeout(slow)
      clearTimeout(limit)
      resolve(answer)
    }
    child.on('error', (error) => end({ status: 'failed', detail: `the probe did not start: ${error.message}` }))
    child.on('close', (code, signal) => {
      const told = parse(output)
      if (told) return end(told)
      const lines = errors.trim().split('\n')
      const thrown = lines.find((line) => /^\w*Error\b/.test(line)) // of Node, which writes a stack and more behind it
      const last = thrown ?? lines.slice(-3).join(' · ')
      const how = timedOut
        ? `the runtime did not answer within ${timeoutMs / 1000} s`
        : `the runtime crashed (${signal ?? `exit code ${code}`})`
      end({ status: 'failed', detail: last ? `${how}: ${last}` : how })
    })
  })
}

function parse(output: string): ProbeAnswer | undefined {
  const start = output.lastIndexOf(probeMarker)
  if (start < 0) return undefined
  try {
    return probeAnswerSchema.parse(JSON.parse(output.slice(start + probeMarker.length).split('\n')[0]!))
  } catch {
    return undefined
  }
}
