// Many jobs at once: equal ones are compiled once, and each is told as it ends. Whoever gets a result or an error finds every
// child ended and every lock released.
import { setMaxListeners } from 'node:events'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { keyOf } from '../cache/entry.ts'
import type { CompiledKernel, CompileJob, CompileProgress } from './job.ts'
import type { Plan } from './plan.ts'

export interface JobOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: CompileProgress) => void
}

export interface PlannedJob {
  readonly job: CompileJob
  readonly plan: Plan
}

/** How one job is planned and compiled; `onProgress` for calls that bring none. */
export interface JobParts {
  readonly plan: (job: CompileJob) => Promise<Plan>
  readonly compile: (planned: PlannedJob, started: number, signal: AbortSignal | undefined) => Promise<CompiledKernel>
  readonly onProgress?: (progress: CompileProgress) => void
}

type Result = CompiledKernel | Diagnostic

/** Each job for itself: its kernel, or the Diagnostic that it failed with, in the order of the jobs. */
export async function compileEach(
  parts: JobParts,
  jobs: readonly CompileJob[],
  {
    signal: given,
    onProgress = parts.onProgress,
    onFailure,
  }: JobOptions & { onFailure?: (error: Diagnostic) => void } = {},
): Promise<Result[]> {
  given?.throwIfAborted()
  const signal = given && AbortSignal.any([given]) // our own: every job listens to it
  if (signal) setMaxListeners(0, signal)
  const planned = await Promise.all(jobs.map(async (job) => ({ job, plan: await parts.plan(job) })))
  const started = performance.now()
  const unique = new Map<string, PlannedJob>()
  for (const one of planned) if (!unique.has(keyOfJob(one))) unique.set(keyOfJob(one), one)
  const tell = progressTeller(unique.size, onProgress)
  const results = new Map<string, Result>()
  const ended = await Promise.allSettled(
    [...unique].map(async ([key, one]) => {
      const result = await parts.compile(one, started, signal).catch((error) => {
        if (error instanceof Diagnostic) return error
        throw error
      })
      results.set(key, result)
      tell(one.job.label, !(result instanceof Diagnostic) && result.fromCache)
      if (result instanceof Diagnostic) onFailure?.(result)
    }),
  )
  for (const end of ended) if (end.status === 'rejected') throw end.reason
  return planned.map((one) => {
    const result = results.get(keyOfJob(one))!
    return result instanceof Diagnostic ? result : { ...result, job: one.job }
  })
}

/** All jobs in their order; the first failure stops the others and is thrown. */
export async function compileAll(
  parts: JobParts,
  jobs: readonly CompileJob[],
  { signal, ...rest }: JobOptions = {},
): Promise<CompiledKernel[]> {
  const stop = new AbortController()
  let first: Diagnostic | undefined
  const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  const onFailure = (error: Diagnostic) => {
    first ??= error
    stop.abort()
  }
  const results = await compileEach(parts, jobs, { ...rest, signal: both, onFailure }).catch((error) => {
    if (first && !signal?.aborted) throw first // the others were stopped by ourselves
    throw error
  })
  if (first) throw first
  invariant(results.length === jobs.length, 'compiling stopped without an error')
  return results as CompiledKernel[]
}

const keyOfJob = ({ plan }: PlannedJob): string => keyOf(plan.keyInput)

function progressTeller(
  total: number,
  onProgress: JobParts['onProgress'],
): (label: string, fromCache: boolean) => void {
  const progress = { done: 0, total, fromCache: 0 }
  return (label, fromCache) => {
    progress.done++
    if (fromCache) progress.fromCache++
    onProgress?.({ ...progress, label })
  }
}
