// Ahead-of-time compiling: every kernel of a model, for targets whose GPUs need not be here, into the kernel cache and
// into a bundle to ship.
import { z } from 'zod'
import { sourcesOf } from '../../codegen/program.ts'
import { findTargets } from '../../codegen/targets.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { type BundleReport, exportBundle } from '../../runtime/cache/bundle.ts'
import { type KernelResources, openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import {
  type CompiledKernel,
  type CompileJob,
  type CompileProgress,
  createCompileService,
} from '../../runtime/compile/service.ts'
import { selectToolchain } from '../../runtime/compile/toolchains.ts'
import { findHostCompiler } from '../../runtime/host/compiler.ts'
import { at, callSite } from '../call-site.ts'
import { openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { compileOptions, type KernelOptions, kernelOptions, readOptions, signalOption } from '../options.ts'
import { checkPath } from './inspect.ts'
import { ModelPlan } from './plan.ts'

const hook = <T>() => z.custom<T>((value) => typeof value === 'function', 'expected a function')

export const buildOptions = kernelOptions.extend({
  targets: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1).readonly()])
    .describe('what to compile for: gfx942, gfx1100, sm_90, host; a list, or one text with commas'),
  maxBatch: compileOptions.shape.maxBatch.describe('kernels for up to so many generations at the same time'),
  out: z.string().min(1).optional().describe('bundle to write: one file with these kernels, for `cache import`'),
  saveTemps: z.string().min(1).optional().describe('folder for source, object, log and ISA of every kernel'),
  onTargets: hook<(targets: readonly BuildTarget[]) => void>()
    .optional()
    .describe('called with the compiler of each target, before it is used'),
  onKernels: hook<(progress: CompileProgress) => void>().optional().describe('called as kernels are ready'),
  signal: signalOption.describe('an `AbortSignal`: ends the build; what is compiled stays'),
})

/** Options of `build`: those of `compile` that decide kernels, and what to build for. */
export interface BuildOptions extends KernelOptions {
  /** What to compile for: gfx942, gfx1100, sm_90, host; a list, or one text with commas. No default. */
  readonly targets: string | readonly string[]
  /** Kernels for up to so many generations at the same time, 1 to 32. Default: 1. */
  readonly maxBatch?: number | undefined
  /** Bundle to write: one file with these kernels, for `rocmforge cache import`. Default: none. */
  readonly out?: string | undefined
  /** Folder for source, object, log and ISA of every kernel. Default: none. */
  readonly saveTemps?: string | undefined
  /** Called with the compiler of each target, before it is used. */
  readonly onTargets?: ((targets: readonly BuildTarget[]) => void) | undefined
  /** Called as kernels are ready. */
  readonly onKernels?: ((progress: CompileProgress) => void) | undefined
  /** An `AbortSignal`: ends the build; what is compiled stays in the cache. Default: none. */
  readonly signal?: AbortSignal | undefined
}

/** A target and what compiles for it. */
export interface BuildTarget {
  /** `gfx942`, `sm_90`, `host` */
  readonly target: string
  /** products that carry it */
  readonly products: string
  /** `hipRTC 6.4.43484 (installed)` */
  readonly compiler: string
}

/** A compiled program: the kernels of one template with one set of parameters. */
export interface BuiltProgram {
  /** `matmul/gemv.hip` */
  readonly template: string
  /** name of the entry in the kernel cache */
  readonly key: string
  /** of the code object */
  readonly bytes: number
  readonly fromCache: boolean
  /** ms from the start of its lookup, waiting for other programs included */
  readonly doneAfterMs: number
  /** registers, LDS and spills of each kernel, where the code object tells them */
  readonly kernels: readonly KernelResources[]
}

export interface BuildReport {
  /** path of the model */
  readonly model: string
  /** folder of the kernel cache, which holds all of it */
  readonly cache: string
  readonly ms: number
  readonly targets: readonly (BuildTarget & { readonly programs: readonly BuiltProgram[] })[]
  /** what was written to `out` */
  readonly bundle?: BundleReport & { readonly path: string }
}

/**
 * Compiles a model's kernels for targets whose GPUs need not be here, into the kernel cache and into a bundle to ship.
 * Errors: `unknown-target` with the nearest names before any compiler is asked, `no-compiler`, those of compiling,
 * `bundle-write`.
 * @example
 * const { bundle } = await build('models/story-3m', { targets: ['gfx942', 'gfx1100'], maxBatch: 8, out: 'story.kernels' })
 * // on the other machine: rocmforge cache import story.kernels
 */
export function build(path: string, options: BuildOptions): Promise<BuildReport> {
  return at(callSite(build), () => buildModel(path, options))
}

async function buildModel(path: string, options: BuildOptions): Promise<BuildReport> {
  const start = performance.now()
  const { targets: given, out, saveTemps, onTargets, onKernels, signal, ...rest } = readOptions(buildOptions, options)
  checkPath(path)
  const settings = readOptions(compileOptions, rest)
  const targets = findTargets(typeof given === 'string' ? given : given.join(','))
  const described = await Promise.all(targets.map(describe)) // all missing compilers show at once
  onTargets?.(described)
  await using checkpoint = await openCheckpoint(path, { architectures: knownArchitectures, context: settings.context })
  const jobs = targets.flatMap((target) => jobsOf(new ModelPlan(checkpoint, settings, target), target))
  const cache = openKernelCache()
  const service = createCompileService({ cache, ...(saveTemps ? { saveTemps } : {}) })
  try {
    const compiled = await service.compileAll(jobs, {
      ...(onKernels ? { onProgress: onKernels } : {}),
      ...(signal ? { signal } : {}),
    })
    const keys = new Set(compiled.map(({ key }) => key))
    const programsOf = (target: Target) => compiled.filter(({ job }) => job.target === target).map(builtProgram)
    return {
      model: path,
      cache: cache.root,
      ms: Math.round(performance.now() - start),
      targets: targets.map((target, i) => ({ ...described[i]!, programs: programsOf(target) })),
      ...(out ? { bundle: { path: out, ...exportBundle(cache, out, { targets: targets.map(targetId), keys }) } } : {}),
    }
  } finally {
    service[Symbol.dispose]()
  }
}

async function describe(target: Target): Promise<BuildTarget> {
  return { target: targetId(target), products: target.products, compiler: await compilerOf(target) }
}

async function compilerOf(target: Target): Promise<string> {
  if (target.platform === 'host') return (await findHostCompiler()).identity
  const { family, version, origin } = selectToolchain(target)
  return `${family === 'hiprtc' ? 'hipRTC' : 'NVRTC'} ${version} (${origin})`
}

const builtProgram = ({ job, key, image, resources, fromCache, ms }: CompiledKernel): BuiltProgram => ({
  template: job.label,
  key,
  bytes: image.length,
  fromCache,
  doneAfterMs: Math.round(ms),
  kernels: resources,
})

/** Every kernel of the model's programs, each once, with all entries that any program uses. */
function jobsOf(plan: ModelPlan, target: Target): CompileJob[] {
  const jobs = new Map<string, CompileJob>()
  for (const source of plan.programs.flatMap(sourcesOf)) {
    const known = jobs.get(source.id)
    const kernels = [...new Set([...(known?.kernels ?? []), ...source.entries])].sort() // as loading asks for them
    jobs.set(source.id, { ...(known ?? compileJob(source, target)), kernels })
  }
  return [...jobs.values()]
}
