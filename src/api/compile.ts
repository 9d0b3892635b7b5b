// Checkpoint → Model: open, lower, fuse, choose kernels, compile, load. The whole way on one page.
import { compileProgram } from '../../codegen/compile.ts'
import type { Program } from '../../codegen/program.ts'
import type { Bindings } from '../../ir/type.ts'
import type { PassRecord } from '../../passes/pass.ts'
import type { CompiledKernel, CompileProgress } from '../../runtime/compile-service.ts'
import { DeviceModel } from '../../runtime/device-model.ts'
import type { LoadProgress } from '../../runtime/weights.ts'
import { DeviceStepper, decodeFeedback } from '../engine/device-stepper.ts'
import { type StepGraph, type StepKind, stepGraph } from '../engine/programs.ts'
import { ReferenceStepper } from '../engine/reference-stepper.ts'
import type { Stepper } from '../engine/stepper.ts'
import { decodedWeights, weightSource } from '../engine/weight-values.ts'
import { type Checkpoint, openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import { type CompileOptions, type CompileSettings, compileOptions, readOptions } from '../options.ts'
import { createTokenizer } from '../tokenizer/create-tokenizer.ts'
import { type Device, openDevice } from './device.ts'
import { checkMemory } from './memory-check.ts'
import { Model } from './model.ts'

/** What happens while a model is compiled and loaded; each may be called many times. */
export interface CompileEvents {
  readonly onDevice?: (device: Device) => void
  readonly onPass?: (kind: StepKind, record: PassRecord) => void
  readonly onGraphs?: (graphs: Readonly<Record<StepKind, StepGraph>>, programs: readonly Program[]) => void
  readonly onKernels?: (progress: CompileProgress) => void
  readonly onCompiled?: (kernels: readonly CompiledKernel[]) => void
  readonly onWeights?: (progress: LoadProgress) => void
  /** things worth knowing that are no errors */
  readonly onNote?: (note: string) => void
  readonly signal?: AbortSignal
  /** a device that is open already, in place of the one that the options name */
  readonly openDevice?: Device
  /** folder for sources, objects and logs of every kernel */
  readonly saveTemps?: string
}

const kinds: readonly StepKind[] = ['absorb', 'sample', 'decode', 'score']
const largestDefaultContext = 8192

/**
 * Opens a checkpoint (a Hugging Face folder or a GGUF file), compiles it for a device and loads its weights. The device is
 * named by the option `device`, or open already as `events.openDevice` (it stays the caller's).
 * @example await using model = await compile('models/story-3m')
 */
export async function compile(path: string, options: CompileOptions = {}, events: CompileEvents = {}): Promise<Model> {
  const settings = readOptions(compileOptions, options)
  const checkpoint = await openCheckpoint(path, { architectures: knownArchitectures })
  const owned: (Disposable | AsyncDisposable)[] = [checkpoint]
  try {
    const device =
      events.openDevice ??
      (await openDevice(settings.device, {
        ...(events.onKernels ? { onProgress: events.onKernels } : {}),
        ...(events.onCompiled ? { onCompiled: events.onCompiled } : {}),
        ...(events.saveTemps ? { saveTemps: events.saveTemps } : {}),
      }))
    if (!events.openDevice) owned.push(device)
    events.onDevice?.(device)
    const tokenizer = createTokenizer(checkpoint.tokenizer)
    const plan = planModel(checkpoint, settings, device, events)
    const stepper =
      device.kind === 'reference'
        ? referenceStepper(checkpoint, plan)
        : await deviceStepper(checkpoint, plan, device, settings, events)
    owned.push(stepper)
    return new Model({
      checkpoint,
      device,
      tokenizer,
      stepper,
      graphs: plan.graphs,
      programs: plan.programs,
      context: plan.context,
      owned,
    })
  } catch (error) {
    for (const resource of owned.reverse())
      await (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]())
    throw error
  }
}

export interface ModelPlan {
  readonly graphs: Readonly<Record<StepKind, StepGraph>>
  /** absorb, sample, decode, score; none for the reference executor */
  readonly programs: readonly Program[]
  readonly context: number
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
}

/** Graphs and programs of a model for a target: no device is needed. */
export function planModel(
  checkpoint: Checkpoint,
  settings: CompileSettings,
  device: Pick<Device, 'kind'> & { readonly target?: import('../../ir/target.ts').Target },
  events: Pick<CompileEvents, 'onPass' | 'onGraphs'> = {},
): ModelPlan {
  const { config } = checkpoint
  const context = settings.context ?? Math.min(config.contextLength, largestDefaultContext)
  const chunk = Math.min(settings.chunk, context)
  const pages = Math.ceil(context / settings.pageSize)
  const onGpu = device.target !== undefined && device.target.platform !== 'host'
  const step = {
    activations: settings.activations,
    kvDtype: settings.kvDtype ?? (onGpu ? 'f16' : 'f32'),
    pageSize: settings.pageSize,
  } as const
  const graphs = Object.fromEntries(
    kinds.map((kind) => [
      kind,
      stepGraph(checkpoint, kind, step, settings.optLevel, events.onPass && ((record) => events.onPass!(kind, record))),
    ]),
  ) as Record<StepKind, StepGraph>
  const limits: Bindings = { T: chunk, R: 1, L: context, P: pages, M: pages }
  const { target } = device
  const programs = target ? kinds.map((kind) => compileProgram(graphs[kind].graph, { target, limits })) : []
  events.onGraphs?.(graphs, programs)
  return { graphs, programs, context, chunk, pageSize: settings.pageSize, pages }
}

function referenceStepper(checkpoint: Checkpoint, { graphs, chunk, pageSize, pages }: ModelPlan): Stepper {
  return new ReferenceStepper({
    graphs: { absorb: graphs.absorb.graph, sample: graphs.sample.graph, score: graphs.score.graph },
    weight: decodedWeights(checkpoint),
    chunk,
    pageSize,
    pages,
  })
}

async function deviceStepper(
  checkpoint: Checkpoint,
  plan: ModelPlan,
  device: Extract<Device, { kind: 'device' }>,
  settings: CompileSettings,
  events: CompileEvents,
): Promise<Stepper> {
  const [absorb, sample, decode, score] = plan.programs as [Program, Program, Program, Program]
  checkMemory(plan, device, checkpoint)
  const model = new DeviceModel({
    driver: device.driver,
    compiler: device.compiler,
    weights: weightSource(checkpoint),
    bindings: { P: plan.pages, M: plan.pages, R: 1 },
    ...(events.onWeights ? { onWeights: events.onWeights } : {}),
    ...(events.signal ? { signal: events.signal } : {}),
  })
  try {
    const loaded = await model.load([
      { program: absorb },
      { program: sample },
      { program: decode, feedback: decodeFeedback },
    ])
    const stepper = new DeviceStepper({
      driver: device.driver,
      model,
      absorb: loaded[0]!,
      sample: loaded[1]!,
      decode: loaded[2]!,
      loadScore: async () => (await model.load([{ program: score }]))[0]!,
      chunk: plan.chunk,
      pageSize: plan.pageSize,
      pages: plan.pages,
      vocabSize: checkpoint.config.vocabSize,
      replay: settings.replay,
      ...(events.onNote ? { onNote: events.onNote } : {}),
    })
    await stepper.checkReplay()
    return stepper
  } catch (error) {
    model[Symbol.dispose]()
    throw error
  }
}
