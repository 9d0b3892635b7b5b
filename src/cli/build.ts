// rocmforge build: a model's kernels for other machines.
import { targetId } from '../../ir/target.ts'
import { spills } from '../../runtime/code-object/code-object.ts'
import type { BuildOptions } from '../api/build.ts'
import { type BuildReport, buildModel } from '../api/build.ts'
import { bar, Progress } from './progress.ts'
import { interruptSignal } from './report.ts'
import { bytesText, table, writeJson, writeLine } from './table.ts'

export interface BuildFlags {
  readonly target: string
  readonly out?: string
  readonly optLevel: string
  readonly kvDtype?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'f8'
  readonly activations: 'f32' | 'f16' | 'bf16'
  readonly context?: number
  readonly chunk?: number
  readonly saveTemps?: string
  readonly quiet?: boolean
  readonly json?: boolean
}

export async function build(model: string, flags: BuildFlags): Promise<void> {
  const progress = new Progress(!!flags.quiet || !!flags.json)
  try {
    const report = await buildModel(model, settings(flags), {
      signal: interruptSignal(),
      ...(flags.saveTemps ? { saveTemps: flags.saveTemps } : {}),
      onTargets(targets) {
        for (const { target, compiler } of targets)
          progress.line(`target   ${targetId(target)} (${target.products}), by ${compiler}`)
      },
      onKernels: ({ done, total, fromCache, label }) =>
        progress.update(`kernels  ${bar(done / total)} ${done}/${total}, ${fromCache} from cache  ${label}`),
    })
    progress.clear()
    if (flags.json) writeJson(asJson(report))
    else print(report)
  } finally {
    progress.clear()
  }
}

const settings = (flags: BuildFlags): BuildOptions => ({
  targets: flags.target,
  optLevel: Number(flags.optLevel) as 0 | 1 | 2 | 3,
  activations: flags.activations,
  ...(flags.out ? { out: flags.out } : {}),
  ...(flags.kvDtype ? { kvDtype: flags.kvDtype } : {}),
  ...(flags.context ? { context: flags.context } : {}),
  ...(flags.chunk ? { chunk: flags.chunk } : {}),
})

function print({ targets, cache, ms, bundle }: BuildReport): void {
  const rows = targets.flatMap(({ target, kernels }) =>
    kernels.flatMap(({ job, image, resources, fromCache, ms: spent }) =>
      resources.map((kernel) => [
        targetId(target),
        kernel.name,
        fromCache ? 'cached' : `${(spent / 1000).toFixed(2)} s`,
        kernel.vgprs ?? '',
        kernel.sgprs ?? '',
        kernel.ldsBytes ?? '',
        kernel.scratchBytes || spills(kernel) ? `${kernel.scratchBytes ?? 0} bytes` : '',
        bytesText(image.length),
        job.label,
      ]),
    ),
  )
  writeLine(table(['target', 'kernel', 'done after', 'VGPRs', 'SGPRs', 'LDS', 'scratch', 'size', 'template'], rows))
  writeLine('')
  for (const { target, kernels } of targets) {
    const cached = kernels.filter(({ fromCache }) => fromCache).length
    writeLine(`${targetId(target)}: ${kernels.length} programs, ${cached} from cache`)
  }
  writeLine(`${(ms / 1000).toFixed(1)} s, in ${cache}`)
  if (bundle) writeLine(`bundle ${bundle.path}: ${bundle.entries} programs, ${bytesText(bundle.bytes)}`)
}

const asJson = ({ model, targets, cache, ms, bundle }: BuildReport) => ({
  model,
  cache,
  ms,
  targets: targets.map(({ target, kernels }) => ({
    target: targetId(target),
    programs: kernels.map(({ job, key, image, resources, fromCache, ms: spent }) => ({
      template: job.label,
      key,
      bytes: image.length,
      from_cache: fromCache,
      done_after_ms: spent,
      kernels: resources,
    })),
  })),
  ...(bundle ? { bundle } : {}),
})
