// Ahead-of-time compiling: every kernel of a model, for targets whose GPUs need not be here, into the kernel cache and
// into a bundle to ship.
import { z } from 'zod'
import { sourcesOf } from '../../codegen/program.ts'
import { findTargets } from '../../codegen/targets.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { type BundleReport, exportBundle } from '../../runtime/cache/bundle.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import {
  type CompiledKernel,
  type CompileJob,
  type CompileProgress,
  createCompileService,
} from '../../runtime/compile/service.ts'
import { selectToolchain } from '../../runtime/compile/toolchains.ts'
import { findHostCompiler } from '../../runtime/host/compiler.ts'
import { openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { compileOptions, readOptions } from '../options.ts'
import { ModelPlan } from './plan.ts'

export const buildOptions = compileOptions.omit({ device: true, replay: true }).extend({
  targets: z.string().min(1).describe('targets, separated by commas: gfx942,gfx1100,sm_90,host'),
  out: z.string().min(1).optional().describe('bundle to write: one file with the kernels of these targets'),
})
export type BuildOptions = z.input<typeof buildOptions>

export interface BuildEvents {
  /** the compilers that will be used, before they are */
  readonly onTargets?: (targets: readonly { target: Target; compiler: string }[]) => void
  readonly onKernels?: (progress: CompileProgress) => void
  readonly signal?: AbortSignal
  /** folder for sources, objects and logs of every kernel */
  readonly saveTemps?: string
}

export interface BuiltTarget {
  readonly target: Target
  readonly kernels: readonly CompiledKernel[]
}

export interface BuildReport {
  readonly model: string
  readonly targets: readonly BuiltTarget[]
  readonly cache: string
  readonly ms: number
  readonly bundle?: BundleReport & { readonly path: string }
}

/**
 * Compiles a model for targets without their GPUs. Errors: `unknown-target` with the nearest names before any compiler is
 * asked, `no-compiler`, those of compiling, `bundle-write`.
 * @example await buildModel('models/story-3m', { targets: 'gfx942,gfx1100', out: 'story.kernels' })
 */
export async function buildModel(path: string, options: BuildOptions, events: BuildEvents = {}): Promise<BuildReport> {
  const start = performance.now()
  const { targets: list, out, ...rest } = readOptions(buildOptions, options)
  const settings = readOptions(compileOptions, rest)
  const targets = findTargets(list)
  const compilers = await Promise.all(
    targets.map(async (target) => ({ target, compiler: await compilerOf(target) })), // all missing ones show at once
  )
  events.onTargets?.(compilers)
  await using checkpoint = await openCheckpoint(path, { architectures: knownArchitectures })
  const jobs = targets.flatMap((target) => jobsOf(new ModelPlan(checkpoint, settings, target), target))
  const cache = openKernelCache()
  const service = createCompileService({ cache, ...(events.saveTemps ? { saveTemps: events.saveTemps } : {}) })
  try {
    const compiled = await service.compileAll(jobs, {
      ...(events.onKernels ? { onProgress: events.onKernels } : {}),
      ...(events.signal ? { signal: events.signal } : {}),
    })
    const ids = targets.map(targetId)
    const keys = new Set(compiled.map(({ key }) => key))
    return {
      model: path,
      targets: targets.map((target) => ({ target, kernels: compiled.filter(({ job }) => job.target === target) })),
      cache: cache.root,
      ms: performance.now() - start,
      ...(out ? { bundle: { path: out, ...exportBundle(cache, out, { targets: ids, keys }) } } : {}),
    }
  } finally {
    service[Symbol.dispose]()
  }
}

async function compilerOf(target: Target): Promise<string> {
  if (target.platform === 'host') return (await findHostCompiler()).identity
  const { family, version, origin } = selectToolchain(target)
  return `${family === 'hiprtc' ? 'hipRTC' : 'NVRTC'} ${version} (${origin})`
}

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
