// Compiling a model from the command line: options to settings, events to progress.
import { buffersOf } from '../../codegen/program.ts'
import type { CompileEvents } from '../api/compile.ts'
import { compile } from '../api/compile.ts'
import type { Model } from '../api/model.ts'
import type { CompileOptions, GenerateOptions } from '../options.ts'
import { bar, megabytes, Progress } from './progress.ts'

export interface LoadFlags {
  readonly device: string
  readonly optLevel: string
  readonly context?: number
  readonly kvDtype?: 'f32' | 'f16' | 'bf16'
  readonly activations: 'f32' | 'f16' | 'bf16'
  readonly chunk?: number
  readonly replay: boolean
  readonly saveTemps?: string
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
  readonly seed?: number
  readonly stop?: string[]
  readonly ignoreEos?: boolean
}

/** How long each stage took, ms. */
export interface LoadReport {
  readonly loadMs: number
  readonly kernels: { readonly total: number; readonly fromCache: number }
}

const given = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

export const compileSettings = (flags: LoadFlags): CompileOptions =>
  given({
    device: flags.device,
    optLevel: Number(flags.optLevel) as 0 | 1 | 2 | 3,
    context: flags.context,
    kvDtype: flags.kvDtype,
    activations: flags.activations,
    chunk: flags.chunk,
    replay: flags.replay,
  } as CompileOptions)

export const sampleSettings = (flags: SampleFlags): GenerateOptions =>
  given({
    maxTokens: flags.maxTokens,
    temperature: flags.temperature,
    topK: flags.topK,
    topP: flags.topP,
    minP: flags.minP,
    repeatPenalty: flags.repeatPenalty,
    seed: flags.seed,
    stop: flags.stop,
    ignoreEos: flags.ignoreEos,
  } as GenerateOptions)

/** Compiles and loads a model, telling what happens on standard error. */
export async function loadModel(
  path: string,
  flags: LoadFlags,
  signal: AbortSignal,
): Promise<{ model: Model; report: LoadReport }> {
  const progress = new Progress(!!flags.quiet || !!flags.json)
  const start = performance.now()
  let kernels = { total: 0, fromCache: 0 }
  const events: CompileEvents = {
    signal,
    ...(flags.saveTemps ? { saveTemps: flags.saveTemps } : {}),
    onDevice(device) {
      const why = device.kind === 'reference' && device.reason ? ` (${device.reason}): exact and slow` : ''
      progress.line(`device   ${device.id}: ${device.name}${why}`)
    },
    onPass(kind, { pass, before, after, ms }) {
      if (kind !== 'decode') return
      if (flags.verbose)
        progress.line(
          `  pass   ${pass.name.padEnd(24)} ${before.order.length} → ${after.order.length} ops, ${ms.toFixed(1)} ms`,
        )
    },
    onGraphs(graphs, programs) {
      const { source, graph } = graphs.decode
      const decode = programs.find(({ name }) => name === 'decode')
      const launches = decode ? `, ${decode.calls.length} kernels a token` : ''
      progress.line(`graph    ${source.order.length} ops, after fusion ${graph.order.length}${launches}`)
      if (flags.verbose && decode)
        progress.line(
          `  memory weights ${megabytes(buffersOf(decode, 'weight').reduce((n, b) => n + b.bytes, 0))}, caches ${megabytes(buffersOf(decode, 'state').reduce((n, b) => n + b.bytes, 0))}, arena ${megabytes(decode.arenaBytes)}`,
        )
    },
    onKernels({ done, total, fromCache, label }) {
      kernels = { total, fromCache }
      progress.update(`kernels  ${bar(done / total)} ${done}/${total}, ${fromCache} from cache  ${label}`)
      if (done === total)
        progress.line(
          `kernels  ${total} ready: ${fromCache} from cache, ${total - fromCache} compiled, ${((performance.now() - start) / 1000).toFixed(1)} s`,
        )
    },
    onWeights({ bytes, totalBytes }) {
      progress.update(`weights  ${bar(bytes / totalBytes)} ${megabytes(bytes)} of ${megabytes(totalBytes)}`)
      if (bytes === totalBytes) progress.line(`weights  ${megabytes(totalBytes)} loaded`)
    },
    onNote: (note) => progress.line(`note     ${note}`),
  }
  try {
    const model = await compile(path, compileSettings(flags), events)
    return { model, report: { loadMs: performance.now() - start, kernels } }
  } finally {
    progress.clear()
  }
}

/** An abort on Ctrl-C; a second one ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  process.on('SIGINT', () => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort(new DOMException('interrupted', 'AbortError'))
  })
  process.once('SIGTERM', () => controller.abort(new DOMException('terminated', 'AbortError')))
  return controller.signal
}
