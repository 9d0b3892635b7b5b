// Compiling a model from the command line: options to settings, events to progress.

import { buffersOf } from '../../codegen/program.ts'
import { visibleLines } from '../../ir/visible-text.ts'
import { compile } from '../api/compile.ts'
import type { Model } from '../api/model.ts'
import type { CompileOptions, GenerateOptions } from '../options.ts'
import { checkPassName, passChanges, passSummary } from './pass-changes.ts'
import { bar, loadingRate, megabytes, Progress } from './progress.ts'

export interface LoadFlags {
  readonly device: string
  readonly optLevel: string
  readonly context?: number
  readonly kvDtype?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'f8'
  readonly activations: 'f32' | 'f16' | 'bf16'
  readonly chunk?: number
  readonly step: 'kernels' | 'persistent'
  readonly replay: boolean
  readonly saveTemps?: string
  readonly selfCheck?: boolean
  readonly quiet?: boolean
  readonly verbose?: boolean
  readonly json?: boolean
  readonly printAfter?: string
}

export interface SampleFlags {
  readonly maxTokens: number
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
  readonly repeatPenalty?: number
  readonly repeatLastN?: number
  readonly frequencyPenalty?: number
  readonly presencePenalty?: number
  readonly logitBias?: Record<string, number>
  readonly seed?: number
  readonly stop?: string[]
  readonly ignoreEos?: boolean
}

/** How long loading took, ms, and what came of it. */
export interface LoadReport {
  readonly loadMs: number
  /** when each stage was over, ms from the start of the process */
  readonly reached: Readonly<Record<Stage, number>>
  /** from the first read of a weight to the last that arrived */
  readonly weightsMs: number
  readonly kernels: { readonly total: number; readonly fromCache: number }
}

/** `program`: our own code is read; `device`: files are opened and the device too; `model`: nothing is left to load */
type Stage = 'program' | 'device' | 'plan' | 'kernels' | 'weights' | 'model'

const given = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

const compileSettings = (flags: LoadFlags): CompileOptions =>
  given({
    device: flags.device,
    optLevel: Number(flags.optLevel) as 0 | 1 | 2 | 3,
    context: flags.context,
    kvDtype: flags.kvDtype,
    activations: flags.activations,
    chunk: flags.chunk,
    step: flags.step,
    replay: flags.replay,
    selfCheck: flags.selfCheck,
  } as CompileOptions)

export const sampleSettings = (flags: SampleFlags): GenerateOptions =>
  given({
    maxTokens: flags.maxTokens === -1 ? Number.MAX_SAFE_INTEGER : flags.maxTokens,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repeatPenalty: flags.repeatPenalty,
    repeatLastN: flags.repeatLastN,
    frequencyPenalty: flags.frequencyPenalty,
    presencePenalty: flags.presencePenalty,
    logitBias: flags.logitBias,
    seed: flags.seed === -1 ? undefined : flags.seed,
    stop: flags.stop,
    ignoreEos: flags.ignoreEos,
  } as GenerateOptions)

/** Compiles and loads a model, telling what happens on standard error. */
export async function loadModel(
  path: string,
  flags: LoadFlags,
  signal: AbortSignal,
  more: Pick<CompileOptions, 'onModel'> = {},
): Promise<{ model: Model; report: LoadReport }> {
  if (flags.printAfter !== undefined) checkPassName(flags.printAfter)
  const progress = new Progress(!!flags.quiet || !!flags.json)
  progress.update('device   looking for one; the first time on a CPU, its library is compiled')
  const start = performance.now()
  let kernels = { total: 0, fromCache: 0 }
  let weightsMs = 0
  const reached: Partial<Record<Stage, number>> = { program: start }
  const reach = (stage: Stage): void => {
    reached[stage] ??= performance.now()
  }
  const events: CompileOptions = {
    ...more,
    signal,
    ...(flags.saveTemps ? { saveTemps: flags.saveTemps } : {}),
    onDevice(device) {
      reach('device')
      if (device.kind === 'reference' && device.reason) {
        // a slower device than asked for is said even where progress is not
        process.stderr.write(visibleLines(`device   ${device.id}: ${device.name} (${device.reason}): exact and slow\n`))
      } else progress.line(`device   ${device.id}: ${device.name}`)
    },
    onPass(kind, record) {
      if (kind !== 'decode') return
      if (flags.printAfter === 'all' || flags.printAfter === record.pass.name)
        process.stderr.write(`${passChanges(record)}\n`)
      else if (flags.verbose) progress.line(`  pass   ${passSummary(record)}, ${record.ms.toFixed(1)} ms`)
    },
    onPlan(plan) {
      const program = plan.target && plan.program()
      reach('plan')
      const kernels = program ? `, ${program.calls.length} kernels a token` : ''
      const launches = program?.persistent
        ? `${kernels}, ${program.persistent.stages.length} of them in one launch`
        : kernels
      progress.line(`graph    ${plan.source().order.length} ops, after fusion ${plan.fused().order.length}${launches}`)
      if (!flags.verbose || !program) return
      const bytes = (kind: 'weight' | 'state') =>
        megabytes(buffersOf(program, kind).reduce((n, buffer) => n + buffer.bytes, 0))
      progress.line(
        `  memory weights ${bytes('weight')}, caches ${bytes('state')}, arena ${megabytes(program.arenaBytes)}`,
      )
    },
    onKernels({ done, total, fromCache, label }) {
      if (done === total) reach('kernels')
      kernels = { total, fromCache }
      progress.update(`kernels  ${bar(done / total)} ${done}/${total}, ${fromCache} from cache  ${label}`)
      if (done === total)
        progress.line(
          `kernels  ${total} ready: ${fromCache} from cache, ${total - fromCache} compiled, ${((performance.now() - start) / 1000).toFixed(1)} s`,
        )
    },
    onWeights({ bytes, totalBytes, seconds }) {
      if (bytes === totalBytes) {
        reach('weights')
        weightsMs = seconds * 1000
      }
      progress.update(`weights  ${bar(bytes / totalBytes)} ${megabytes(bytes)} of ${megabytes(totalBytes)}`)
      if (bytes === totalBytes)
        progress.line(`weights  ${megabytes(totalBytes)} loaded, ${loadingRate(bytes, seconds)}`)
    },
    onNote: (note) => progress.line(`note     ${note}`),
  }
  try {
    const model = await compile(path, { ...compileSettings(flags), ...events })
    reach('model')
    const stages = reached as LoadReport['reached']
    return { model, report: { loadMs: performance.now() - start, kernels, reached: stages, weightsMs } }
  } finally {
    progress.clear()
  }
}
