// From kernel sources to loaded-ready code, for every platform: identical jobs once, the cache first, then as many
// compilers at once as there are cores, each in a process of its own, so that a compiler that aborts or hangs costs one
// clear error.
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import type { KernelSite } from '../../codegen/program.ts'
import type { Diagnostic } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { type Target, targetId } from '../../ir/target.ts'
import type { Entry } from '../cache/entry.ts'
import type { KernelCache, KeyInput } from '../cache/kernel-cache.ts'
import { cacheRoot } from '../cache/root.ts'
import { CompilerChildren } from './compiler-children.ts'
import type { CompiledKernel, CompileJob, CompileProgress } from './job.ts'
import { compileAll, compileEach, type JobOptions, type JobParts, type PlannedJob } from './many.ts'
import { type PlanContext, planJob } from './plan.ts'
import { saveTemps } from './save-temps.ts'
import { slots } from './slots.ts'
import { findToolchains, type Toolchain } from './toolchains.ts'

export type { CompiledKernel, CompileJob, CompileProgress } from './job.ts'

export interface CompileServiceOptions {
  readonly cache: KernelCache
  /** compilers at once; default: cores, as far as memory allows */
  readonly jobs?: number
  readonly onProgress?: (progress: CompileProgress) => void
  /** folder for sources, objects, logs and ISA of everything compiled or found */
  readonly saveTemps?: string
  /** for one kernel; default 120 s */
  readonly timeoutMs?: number
  readonly env?: Readonly<Record<string, string | undefined>>
  /** where programs that failed are kept for the reproducing command */
  readonly failedFolder?: string
  /** for tests: another bundle of compile-worker.ts, another compiler */
  readonly workerEntry?: string
  readonly toolchain?: (target: Target) => Toolchain
}

export interface CompileService {
  /**
   * All jobs compiled, in their order. The first failure stops the others and is thrown: Diagnostics `kernel-compile`,
   * `compiler-crashed`, `compile-timeout`, `unsupported-target`, `no-compiler`, `no-host-compiler`.
   */
  compileAll(jobs: readonly CompileJob[], options?: JobOptions): Promise<CompiledKernel[]>
  /** As compileAll, but each job for itself: its kernel, or the Diagnostic that it failed with. */
  compileEach(jobs: readonly CompileJob[], options?: JobOptions): Promise<(CompiledKernel | Diagnostic)[]>
  /**
   * The instructions of a code object for an AMD target, by the comgr of the compiler that would make it: `kernel:`, then
   * one a line. Undefined for other platforms, and where no comgr at hand can.
   */
  disassemble(target: Target, image: Uint8Array): Promise<string | undefined>
  /** Ends the children. Idle ones end by themselves and keep no process alive. */
  [Symbol.dispose](): void
}

const defaultTimeoutMs = 120_000
/** resident size of a compiler's process, generously */
const compilerBytes = 400 << 20

const parallelism = (): number =>
  Math.max(1, Math.min(availableParallelism(), 32, Math.floor(freemem() / compilerBytes)))

export function createCompileService(options: CompileServiceOptions): CompileService {
  const { cache, timeoutMs = defaultTimeoutMs, env = process.env, toolchain } = options
  const entry = options.workerEntry ?? join(packageRoot(), 'dist', 'compile-worker.js')
  const failedFolder = options.failedFolder ?? join(cacheRoot(env), 'failed')
  const limit = slots(options.jobs ?? parallelism())
  const children = new CompilerChildren({ entry, timeoutMs }, limit)
  const context: PlanContext = { cache, children, env, timeoutMs, entry, failedFolder, toolchain }

  async function disassemble(target: Target, image: Uint8Array): Promise<string | undefined> {
    if (target.platform !== 'amd') return undefined
    const toolchains = toolchain ? [toolchain(target)] : findToolchains(env)
    return children.disassemble(toolchains, targetId(target), image)
  }

  async function compileOne(
    { job, plan }: PlannedJob,
    started: number,
    signal: AbortSignal | undefined,
  ): Promise<CompiledKernel> {
    const { make, anyFeatures } = plan
    const general = anyFeatures && !cache.get(plan.keyInput) ? cache.get(anyFeatures) : undefined
    const keyInput = general ? anyFeatures! : plan.keyInput
    const { entry: found, fromCache } = general
      ? { entry: general, fromCache: true }
      : await cache.getOrBuild(keyInput, () => limit(() => make(signal), signal), signal ? { signal } : {})
    if (options.saveTemps) await saveTemps(options.saveTemps, job.target, job.source, found, disassemble)
    return compiled(job, keyInput, found, fromCache, performance.now() - started)
  }

  const parts: JobParts = {
    plan: (job) => planJob(context, job),
    compile: compileOne,
    ...(options.onProgress ? { onProgress: options.onProgress } : {}),
  }
  return {
    compileAll: (jobs, given) => compileAll(parts, jobs, given),
    compileEach: (jobs, given) => compileEach(parts, jobs, given),
    disassemble,
    [Symbol.dispose]: () => children[Symbol.dispose](),
  }
}

function compiled(job: CompileJob, keyInput: KeyInput, entry: Entry, fromCache: boolean, ms: number): CompiledKernel {
  const { key, image, log, resources, selfCheck } = entry
  const site = job.site ?? (entry.site as KernelSite | undefined)
  return {
    job,
    key,
    keyInput,
    ...(site ? { site } : {}),
    image,
    log,
    resources,
    ...(selfCheck ? { selfCheck } : {}),
    fromCache,
    ms,
  }
}
