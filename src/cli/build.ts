// rocmforge build: a model's kernels for other machines.
import { spills } from '../../runtime/code-object/code-object.ts'
import { type BuildOptions, type BuildReport, build as buildKernels } from '../api/build.ts'
import { bar, Progress } from './progress.ts'
import { interruptSignal } from './report.ts'
import { bytesText, table, writeJson, writeLine } from './table.ts'

interface BuildFlags {
  readonly target: string
  readonly out?: string
  readonly optLevel: string
  readonly kvDtype?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'f8'
  readonly activations: 'f32' | 'f16' | 'bf16'
  readonly context?: number
  readonly chunk?: number
  readonly maxBatch?: number
  readonly saveTemps?: string
  readonly quiet?: boolean
  readonly json?: boolean
}

export async function build(model: string, flags: BuildFlags): Promise<void> {
  const progress = new Progress(!!flags.quiet || !!flags.json)
  try {
    const report = await buildKernels(model, {
      ...settings(flags),
      signal: interruptSignal(),
      onTargets(targets) {
        for (const { target, products, compiler } of targets)
          progress.line(`target   ${target} (${products}), by ${compiler}`)
      },
      onKernels: ({ done, total, fromCache, label }) =>
        progress.update(`kernels  ${bar(done / total)} ${done}/${total}, ${fromCache} from cache  ${label}`),
    })
    progress.clear()
    if (flags.json) writeJson(report)
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
  ...(flags.maxBatch === undefined ? {} : { maxBatch: flags.maxBatch }),
  ...(flags.saveTemps ? { saveTemps: flags.saveTemps } : {}),
})

function print({ targets, cache, ms, bundle }: BuildReport): void {
  const rows = targets.flatMap(({ target, programs }) =>
    programs.flatMap(({ template, bytes, fromCache, doneAfterMs, kernels }) =>
      kernels.map((kernel) => [
        target,
        kernel.name,
        fromCache ? 'cached' : `${(doneAfterMs / 1000).toFixed(2)} s`,
        kernel.vgprs ?? '',
        kernel.sgprs ?? '',
        kernel.ldsBytes ?? '',
        kernel.scratchBytes || spills(kernel) ? `${kernel.scratchBytes ?? 0} bytes` : '',
        bytesText(bytes),
        template,
      ]),
    ),
  )
  writeLine(table(['target', 'kernel', 'done after', 'VGPRs', 'SGPRs', 'LDS', 'scratch', 'size', 'template'], rows))
  writeLine('')
  for (const { target, programs } of targets) {
    const cached = programs.filter(({ fromCache }) => fromCache).length
    writeLine(`${target}: ${programs.length} programs, ${cached} from cache`)
  }
  writeLine(`${(ms / 1000).toFixed(1)} s, in ${cache}`)
  if (bundle) writeLine(`bundle ${bundle.path}: ${bundle.entries} programs, ${bytesText(bundle.bytes)}`)
}
