// From kernel sources to loaded-ready code, for every platform: identical jobs once, the cache first, then as many
// compilers at once as there are cores, each in a process of its own, so that a compiler that aborts or hangs costs one
// clear error.
import { setMaxListeners } from 'node:events'
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import type { Defines } from '../../codegen/kernel.ts'
import type { KernelSite } from '../../codegen/program.ts'
import { defineValue } from '../../codegen/source.ts'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { type Entry, keyOf, sha256 } from '../cache/entry.ts'
import type { Built, KernelCache, KernelResources, KeyInput } from '../cache/kernel-cache.ts'
import { cacheRoot } from '../cache/root.ts'
import { readCodeObject } from '../code-object/code-object.ts'
import { compileHostKernel, findHostCompiler, hostOptions } from '../host/compiler.ts'
import { crashedError, type FailedJob, refusedError, timeoutError, toolchainName } from './error.ts'
import { CompilePool } from './pool.ts'
import type { WorkerJob } from './protocol.ts'
import { saveTemps } from './save-temps.ts'
import { atLeast, findToolchains, selectToolchain, type Toolchain } from './toolchains.ts'

export interface CompileJob {
  /** flattened text without includes, with #line markers */
  readonly source: string
  /** extern "C" kernels in it */
  readonly kernels: readonly string[]
  readonly target: Target
  /** name for people: the template, `norm/rms_norm.hip` */
  readonly label: string
  /** the -D list; a text that defines them too, as emitSource makes it, does no harm */
  readonly defines?: Defines
  /** a use of the kernel, kept with it for the self-check */
  readonly site?: KernelSite
  /** options of the compiler beyond those every kernel gets; not for the host */
  readonly options?: readonly string[]
}

export interface CompiledKernel {
  readonly job: CompileJob
  /** name of the cache entry */
  readonly key: string
  readonly keyInput: KeyInput
  /** a use of the kernel; of the job or of the entry that was found */
  readonly site?: KernelSite
  /** code object, cubin or host object: what hipModuleLoadData takes */
  readonly image: Uint8Array
  /** warnings of the compiler */
  readonly log: string
  /** one per kernel of the image, in no order */
  readonly resources: readonly KernelResources[]
  readonly selfCheck?: Entry['selfCheck']
  readonly fromCache: boolean
  /** time from the start of the lookup; with other jobs ahead of it, waiting included */
  readonly ms: number
}

/** `kernels 7/14, 3 from cache` */
export interface CompileProgress {
  readonly done: number
  readonly total: number
  /** of the done ones */
  readonly fromCache: number
  /** the one that was finished last */
  readonly label: string
}

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
  compileAll(
    jobs: readonly CompileJob[],
    options?: { readonly signal?: AbortSignal; readonly onProgress?: (progress: CompileProgress) => void },
  ): Promise<CompiledKernel[]>
  /** As compileAll, but each job for itself: its kernel, or the Diagnostic that it failed with. */
  compileEach(
    jobs: readonly CompileJob[],
    options?: { readonly signal?: AbortSignal; readonly onProgress?: (progress: CompileProgress) => void },
  ): Promise<(CompiledKernel | Diagnostic)[]>
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

/** A job with everything decided: its key, and how to make it. */
interface Plan {
  readonly keyInput: KeyInput
  /** the same kernel compiled for any setting of the target's features, which loads on each of them */
  readonly anyFeatures?: KeyInput
  readonly make: (signal: AbortSignal | undefined) => Promise<Built>
}

export function createCompileService(options: CompileServiceOptions): CompileService {
  const { cache, timeoutMs = defaultTimeoutMs, env = process.env } = options
  const entry = options.workerEntry ?? join(packageRoot(), 'dist', 'compile-worker.js')
  const failedFolder = options.failedFolder ?? join(cacheRoot(env), 'failed')
  const limit = slots(options.jobs ?? parallelism())
  const pools = new Map<string, CompilePool>()
  let jobIds = 0

  function poolOf(toolchain: Toolchain): CompilePool {
    const key = [...toolchain.launcher, toolchain.identity].join(' ') // one release may be installed and unpacked too
    let pool = pools.get(key)
    if (!pool) {
      pool = new CompilePool({ entry, launcher: toolchain.launcher, timeoutMs })
      pools.set(key, pool)
    }
    return pool
  }

  async function plan(job: CompileJob): Promise<Plan> {
    return job.target.platform === 'host' ? planHost(job) : planRtc(job)
  }

  async function planHost({ source, kernels, target, label, defines, site }: CompileJob): Promise<Plan> {
    const compiler = await findHostCompiler(env)
    const list = defineList({ ...defines, ...(defines?.['P_WAVE'] === undefined ? { P_WAVE: target.wave } : {}) })
    const request = { template: label, source, kernels, defines: list, mode: target.mode ?? 'fast' }
    const keyInput = {
      source: sha256(source),
      options: [...hostOptions(compiler, request), ...kernels],
      target: targetId(target),
      compiler: compiler.identity,
    }
    const make = async (signal: AbortSignal | undefined): Promise<Built> => {
      const image = await compileHostKernel(request, { timeoutMs, compiler, ...(signal ? { signal } : {}) })
      const resources = kernels.map((name) => ({ name }))
      return { label, kernels: [...kernels], log: '', resources, ...use(site), image }
    }
    return { keyInput, make }
  }

  function planRtc(job: CompileJob): Plan {
    const { source, kernels, target, label, site } = job
    let toolchain: Toolchain
    try {
      toolchain = options.toolchain?.(target) ?? selectToolchain(target, env)
    } catch (error) {
      return planWithoutCompiler(job, error)
    }
    const words = rtcOptions(job, toolchain, env)
    const id = targetId(target)
    const keyInput = { source: sha256(source), options: words, target: id, compiler: toolchain.identity }
    const make = async (signal: AbortSignal | undefined): Promise<Built> => {
      const { family, hip, nvrtc } = toolchain
      const child: WorkerJob = {
        id: jobIds++,
        toolchain: { family, ...(hip ? { hip } : {}), ...(nvrtc ? { nvrtc } : {}) },
        target: target.name,
        name: label,
        source,
        options: words,
      }
      const failed = { job: child, toolchain, target: id, key: keyOf(keyInput), entry, folder: failedFolder }
      const { image, log } = await compileInChild(failed, signal)
      const resources = readCodeObject(image)?.kernels ?? []
      const missing = kernels.filter((name) => !resources.some((kernel) => kernel.name === name))
      invariant(missing.length === 0, `${label} compiles without a kernel named ${missing.join(', ')}`)
      return { label, kernels: [...kernels], log, resources: [...resources], ...use(site), image }
    }
    if (!target.features) return { keyInput, make }
    const { features: _, ...plain } = target
    const general = rtcOptions({ ...job, target: plain }, toolchain, env)
    return { keyInput, anyFeatures: { ...keyInput, options: general, target: plain.name }, make }
  }

  /** Where no compiler is installed, code that another machine compiled from the same text runs as well. */
  function planWithoutCompiler({ source, target }: CompileJob, error: unknown): Plan {
    const hash = sha256(source)
    const made = cache.findSource(targetId(target), hash) ?? cache.findSource(target.name, hash)
    if (!made || !(error instanceof Diagnostic && error.code === 'no-compiler')) throw error
    return { keyInput: made.parts, make: () => Promise.reject(error) }
  }

  async function compileInChild(
    failed: FailedJob,
    signal: AbortSignal | undefined,
  ): Promise<{ image: Uint8Array; log: string }> {
    const { job, toolchain, target } = failed
    for (let attempt = 0; ; attempt++) {
      const outcome = await poolOf(toolchain).run(job, signal)
      if (outcome.kind === 'timeout') throw timeoutError(failed, timeoutMs)
      if (outcome.kind === 'died') {
        // A compiler that gives up says why. Silence means that something else ended it, such as the system when
        // memory ran out: worth one more try.
        if (outcome.stderr === '' && attempt === 0) continue
        throw crashedError(failed, outcome.how, outcome.stderr)
      }
      const { reply } = outcome
      if (reply.kind === 'failed') throw new Diagnostic(reply.diagnostic)
      if (reply.kind === 'unknown-target') throw unsupportedTarget(target, toolchain, reply.known)
      invariant(reply.kind === 'done', 'a compiler answered another question')
      if (reply.code !== 0 || !reply.image) throw refusedError(failed, reply.codeName, reply.log)
      return { image: reply.image, log: reply.log }
    }
  }

  async function disassemble(target: Target, image: Uint8Array): Promise<string | undefined> {
    if (target.platform !== 'amd') return undefined
    const toolchains = options.toolchain ? [options.toolchain(target)] : findToolchains(env)
    for (const toolchain of toolchains) {
      const comgr = toolchain.hip?.comgr
      if (!comgr) continue
      const job = { id: jobIds++, comgr, target: targetId(target), image }
      const outcome = await limit(() => poolOf(toolchain).run(job))
      if (outcome.kind === 'reply' && outcome.reply.kind === 'disassembled' && outcome.reply.text)
        return outcome.reply.text
    }
    return undefined
  }

  async function compileOne(
    job: CompileJob,
    plan: Plan,
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

  async function compileEach(
    jobs: readonly CompileJob[],
    { signal: given, onProgress = options.onProgress, onFailure = () => {} }: EachOptions = {},
  ): Promise<(CompiledKernel | Diagnostic)[]> {
    given?.throwIfAborted()
    const signal = given && AbortSignal.any([given]) // our own: every job listens to it
    if (signal) setMaxListeners(0, signal)
    const plans = await Promise.all(jobs.map(plan))
    const started = performance.now()
    const unique = new Map<string, { job: CompileJob; plan: Plan }>()
    for (const [index, job] of jobs.entries()) {
      const key = keyOf(plans[index]!.keyInput)
      if (!unique.has(key)) unique.set(key, { job, plan: plans[index]! })
    }
    const progress = { done: 0, total: unique.size, fromCache: 0 }
    const tell = (label: string, fromCache: boolean) => {
      progress.done++
      if (fromCache) progress.fromCache++
      onProgress?.({ ...progress, label })
    }
    const results = new Map<string, CompiledKernel | Diagnostic>()
    const ended = await Promise.allSettled(
      [...unique].map(async ([key, { job, plan }]) => {
        try {
          const kernel = await compileOne(job, plan, started, signal)
          results.set(key, kernel)
          tell(job.label, kernel.fromCache)
        } catch (error) {
          if (!(error instanceof Diagnostic)) throw error
          results.set(key, error)
          tell(job.label, false)
          onFailure(error)
        }
      }),
    )
    // only now: whoever gets the error finds every child ended and every lock released
    for (const end of ended) if (end.status === 'rejected') throw end.reason
    return jobs.map((job, index) => {
      const result = results.get(keyOf(plans[index]!.keyInput))!
      return result instanceof Diagnostic ? result : { ...result, job }
    })
  }

  async function compileAll(
    jobs: readonly CompileJob[],
    { signal, ...rest }: EachOptions = {},
  ): Promise<CompiledKernel[]> {
    const stop = new AbortController()
    let first: Diagnostic | undefined
    const both = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
    const onFailure = (error: Diagnostic) => {
      first ??= error
      stop.abort()
    }
    const results = await compileEach(jobs, { ...rest, signal: both, onFailure }).catch((error) => {
      if (first && !signal?.aborted) throw first // the others were stopped by ourselves
      throw error
    })
    if (first) throw first
    invariant(results.length === jobs.length, 'compiling stopped without an error')
    return results as CompiledKernel[]
  }

  return {
    compileAll,
    compileEach,
    disassemble,
    [Symbol.dispose]() {
      for (const pool of pools.values()) pool[Symbol.dispose]()
      pools.clear()
    },
  }
}

interface EachOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: CompileProgress) => void
  readonly onFailure?: (first: Diagnostic) => void
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

/** Of a built kernel, where its use is known. */
const use = (site: KernelSite | undefined): Pick<Built, 'site'> =>
  site ? { site: JSON.parse(JSON.stringify(site)) } : {}

/** What hipRTC or NVRTC is told for a job. */
export function rtcOptions(
  { target, defines = {}, options = [] }: CompileJob,
  toolchain: Pick<Toolchain, 'family' | 'version'>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const own = [...options, ...defineList(defines).map((text) => `-D${text}`)]
  if (toolchain.family === 'nvrtc') {
    // plain constexpr functions count as device code, as they do for hipRTC
    return [`--gpu-architecture=${target.name}`, '--std=c++17', '--device-as-default-execution-space', ...own]
  }
  // The built-in header costs 150 ms of each program; our prelude needs none of it.
  const bare = atLeast(toolchain.version, '6.2') && env['ROCMFORGE_BUILTIN_HEADER'] !== '1'
  return [
    `--offload-arch=${targetId(target)}`,
    '-std=c++17',
    '-mcode-object-version=5', // newer compilers write version 6, which runtimes before 6.3 refuse
    ...(target.wave === 32 ? ['-mcumode'] : []), // RDNA: a block stays on one CU, so that a barrier keeps its L0 cache
    ...(bare ? ['--hiprtc-no-builtin-header', '-nogpuinc', '-DROCMFORGE_NO_BUILTIN_HEADER=1'] : []),
    ...own,
  ]
}

/** `NAME=value`, sorted by name, so that equal defines are equal lists. */
export const defineList = (defines: Readonly<Record<string, number | string>>): string[] =>
  Object.entries(defines)
    .map(([name, value]) => `${name}=${defineValue(name, value)}`)
    .sort()

function unsupportedTarget(target: string, toolchain: Toolchain, known: readonly string[]): Diagnostic {
  return new Diagnostic({
    code: 'unsupported-target',
    message: `${toolchainName(toolchain)} has no target ${target}`,
    facts: [
      ['found', toolchain.origin],
      ['knows', known.join(' ')],
    ],
    help: 'another release may know it: ROCMFORGE_HIPRTC chooses one, `rocmforge toolchain` brings them to Debian',
  })
}

/** Lets `count` actions run at once; the others wait their turn. */
function slots(count: number): <T>(action: () => Promise<T>, signal?: AbortSignal) => Promise<T> {
  let free = count
  const waiting: (() => void)[] = []
  return async (action, signal) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      signal?.throwIfAborted()
      return await action()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
