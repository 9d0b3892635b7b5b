// A job with everything decided: by which compiler, under which key, and how it is made. Nothing is compiled yet.
import type { KernelSite } from '../../codegen/program.ts'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { keyOf, sha256 } from '../cache/entry.ts'
import type { Built, KernelCache, KeyInput } from '../cache/kernel-cache.ts'
import { readCodeObject } from '../code-object/code-object.ts'
import { compileHostKernel, findHostCompiler, hostOptions } from '../host/compiler.ts'
import type { CompilerChildren } from './compiler-children.ts'
import type { CompileJob } from './job.ts'
import type { WorkerJob } from './protocol.ts'
import { defineList, rtcOptions } from './rtc-options.ts'
import { selectToolchain, type Toolchain } from './toolchains.ts'

export interface PlanContext {
  readonly cache: KernelCache
  readonly children: CompilerChildren
  readonly env: Readonly<Record<string, string | undefined>>
  readonly timeoutMs: number
  /** bundle of worker.ts */
  readonly entry: string
  /** where programs that failed are kept for the reproducing command */
  readonly failedFolder: string
  /** for tests: another compiler */
  readonly toolchain?: ((target: Target) => Toolchain) | undefined
}

export interface Plan {
  readonly keyInput: KeyInput
  /** the same kernel compiled for any setting of the target's features, which loads on each of them */
  readonly anyFeatures?: KeyInput
  readonly make: (signal: AbortSignal | undefined) => Promise<Built>
}

/** Diagnostics `no-compiler`, `no-host-compiler`. */
export async function planJob(context: PlanContext, job: CompileJob): Promise<Plan> {
  return job.target.platform === 'host' ? planHost(context, job) : planRtc(context, job)
}

async function planHost(
  { env, timeoutMs }: PlanContext,
  { source, kernels, target, label, defines, site }: CompileJob,
): Promise<Plan> {
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

function planRtc(context: PlanContext, job: CompileJob): Plan {
  const { env, children, entry, failedFolder } = context
  const { source, kernels, target, label, site } = job
  let toolchain: Toolchain
  try {
    toolchain = context.toolchain?.(target) ?? selectToolchain(target, env)
  } catch (error) {
    return planWithoutCompiler(context, job, error)
  }
  const words = rtcOptions(job, toolchain, env)
  const id = targetId(target)
  const keyInput = { source: sha256(source), options: words, target: id, compiler: toolchain.identity }
  const make = async (signal: AbortSignal | undefined): Promise<Built> => {
    const { family, hip, nvrtc } = toolchain
    const child: WorkerJob = {
      id: children.nextId(),
      toolchain: { family, ...(hip ? { hip } : {}), ...(nvrtc ? { nvrtc } : {}) },
      target: target.name,
      name: label,
      source,
      options: words,
    }
    const failed = { job: child, toolchain, target: id, key: keyOf(keyInput), entry, folder: failedFolder }
    const { image, log } = await children.compile(failed, signal)
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
function planWithoutCompiler({ cache }: PlanContext, { source, target }: CompileJob, error: unknown): Plan {
  const hash = sha256(source)
  const made = cache.findSource(targetId(target), hash) ?? cache.findSource(target.name, hash)
  if (!made || !(error instanceof Diagnostic && error.code === 'no-compiler')) throw error
  return { keyInput: made.parts, make: () => Promise.reject(error) }
}

/** Of a built kernel, where its use is known. */
const use = (site: KernelSite | undefined): Pick<Built, 'site'> =>
  site ? { site: JSON.parse(JSON.stringify(site)) } : {}
