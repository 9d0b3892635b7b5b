// Checkpoint → Model: open, lower, fuse, choose kernels, compile, load. The whole way on one page.
import { isDeepStrictEqual } from 'node:util'
import { findTarget } from '../../codegen/targets.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { Target } from '../../ir/target.ts'
import { DeviceModel } from '../../runtime/execute/device-model.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import type { DeviceReport } from '../../runtime/platform/devices.ts'
import { wakeDevice } from '../../runtime/platform/wake.ts'
import { at, callSite } from '../call-site.ts'
import { decodeFeedback } from '../engine/device-decoding.ts'
import { DeviceStepper } from '../engine/device-stepper.ts'
import { ReferenceStepper } from '../engine/reference-stepper.ts'
import type { Stepper } from '../engine/stepper.ts'
import { TokenRing } from '../engine/token-ring.ts'
import { decodedWeights, weightSource } from '../engine/weight-values.ts'
import { type Checkpoint, type ModelSource, openCheckpoint } from '../loader/checkpoint.ts'
import { knownArchitectures } from '../models/index.ts'
import {
  type CompileEvents,
  type CompileOptions,
  type CompileSettings,
  compileOptions,
  readOptions,
} from '../options.ts'
import { createTokenizer } from '../tokenizer/create-tokenizer.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { type ComputeDevice, findDevice, openDevice } from './device.ts'
import { checkPath, describeModel } from './inspect.ts'
import { checkMemory } from './memory-check.ts'
import { Model, type ModelParts, releaseAll } from './model.ts'
import { ModelPlan } from './plan.ts'
import { checkingCompiler } from './self-check.ts'
import { StepGraphs } from './step-graphs.ts'

/**
 * Opens a checkpoint (a Hugging Face folder or a GGUF file), compiles it for a device and loads its weights. Errors:
 * `bad-option`, `bad-argument`, and those of files, devices and compilers.
 * @example await using model = await compile('models/story-3m', { device: 'auto', context: 2048 })
 */
export function compile(path: string, options: CompileOptions = {}): Promise<Model> {
  return at(callSite(compile), async () => new Model(await compileParts(path, options)))
}

/** What a Model is made of, for those who run steps themselves; whoever takes it releases `owned`, the last first. */
export async function compileParts(path: string, options: CompileOptions = {}): Promise<ModelParts> {
  const settings = readOptions(compileOptions, options)
  checkPath(path)
  const events: CompileEvents & Pick<CompileOptions, 'signal' | 'saveTemps'> = settings
  const given = settings.device
  events.signal?.throwIfAborted()
  if (typeof given === 'object' && settings.saveTemps !== undefined)
    fail({
      code: 'bad-option',
      message: 'option saveTemps is not valid: the device is open already',
      help: 'openDevice takes it',
    })
  const search = new AbortController()
  // a GPU's runtime takes its time to say what is there and to open it: files are read and kernels chosen meanwhile
  const found = typeof given === 'string' ? findDevice(given, search.signal) : undefined
  const awake = found?.then(wakeDevice, () => undefined)
  const owned: (Disposable | AsyncDisposable)[] = []
  try {
    const checkpoint = await openCheckpoint(path, { architectures: knownArchitectures, context: settings.context })
    owned.push(checkpoint)
    const info = describeModel(checkpoint)
    events.onModel?.(info)
    for (const note of checkpoint.notes) events.onNote?.(note)
    let made: Tokenizer | undefined
    const tokenizerOf = () => {
      made ??= createTokenizer(checkpoint.tokenizer)
      return made
    }
    const graphs = new StepGraphs(checkpoint, settings, events.onPass)
    const planFor = (target: Target | undefined) => new ModelPlan(checkpoint, settings, target, graphs)
    const early = found && awake ? await planMeanwhile(awake, found, graphs, planFor, tokenizerOf) : undefined
    const tokenizer = tokenizerOf()
    await awake
    const device =
      typeof given === 'object'
        ? given
        : await openDevice(given, {
            selfCheck: settings.selfCheck,
            ...(found ? { found } : {}),
            ...(events.onKernels ? { onProgress: events.onKernels } : {}),
            ...(events.onCompiled ? { onCompiled: events.onCompiled } : {}),
            ...(events.saveTemps ? { saveTemps: events.saveTemps } : {}),
          })
    void awake?.then((context) => context?.[Symbol.dispose]()) // the driver holds it now
    if (device !== given) owned.push(device)
    events.onDevice?.(device)
    const target = device.kind === 'device' ? device.target : undefined
    const plan = early && target && isDeepStrictEqual(early.target, target) ? early : planFor(target)
    events.onPlan?.(plan)
    const stepper =
      device.kind === 'reference'
        ? referenceStepper(checkpoint, plan)
        : await deviceStepper(
            checkpoint,
            plan,
            device === given ? watched(device, settings) : device,
            { ...settings, batches: plan.largerBatches },
            events,
          )
    owned.push(stepper)
    const chatTemplate = settings.chatTemplate ?? info.chatTemplate
    return { checkpoint, device, tokenizer, chatTemplate, stepper, plan, owned }
  } catch (error) {
    search.abort()
    void awake?.then((context) => context?.[Symbol.dispose]())
    await releaseAll(owned)
    throw error
  }
}

/**
 * What can be done while a GPU is looked for and woken: graphs as any GPU needs them, then programs for the one that was
 * found, then the tokenizer. Undefined where nothing was left to wait for, or there is no GPU. The device's own steps begin at
 * turns in between, so what keeps this thread longest comes last.
 */
async function planMeanwhile(
  awake: Promise<unknown>,
  found: Promise<DeviceReport>,
  graphs: StepGraphs,
  planFor: (target: Target) => ModelPlan,
  tokenizerOf: () => Tokenizer,
): Promise<ModelPlan | undefined> {
  let isOver = false
  awake.finally(() => {
    isOver = true
  })
  const kinds = ['sample', 'decode'] as const
  await turn()
  if (isOver) return undefined
  for (const kind of kinds) {
    graphs.get(kind, 1, true)
    await turn()
  }
  const { library, properties } = await found
  if (!library || !properties) return undefined // no GPU
  const plan = planFor(findTarget(properties.targetId))
  for (const kind of kinds) {
    await turn()
    plan.program(kind)
  }
  await turn()
  tokenizerOf()
  return plan
}

/** Lets everything that waits for this thread have its turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function referenceStepper(checkpoint: Checkpoint, plan: ModelPlan): Stepper {
  const { chunk, pageSize, pages, maxBatch } = plan
  return new ReferenceStepper({
    graph: (kind) => plan.fused(kind),
    weight: decodedWeights(checkpoint),
    chunk,
    pageSize,
    pages,
    maxBatch,
  })
}

/** A device that the caller opened, as this model sees it: its events, and the check that was asked for. */
function watched(device: ComputeDevice, { onKernels, onCompiled, selfCheck, kernels }: CompileSettings): ComputeDevice {
  const events = { ...(onKernels ? { onProgress: onKernels } : {}), ...(onCompiled ? { onCompiled } : {}) }
  const seen = { ...device, compiler: device.compilerWith(events) }
  return selfCheck ? { ...seen, compiler: checkingCompiler(seen, kernels, 'all') } : seen
}

export interface StepperSettings
  extends Pick<CompileSettings, 'replay'>,
    Partial<Pick<CompileSettings, 'selfCheck' | 'kernels'>> {
  /** sizes of batches whose programs are loaded at once; others are when they are first needed */
  readonly batches?: readonly number[]
}

/** Compiles and loads what decoding takes; `weights` may come from elsewhere than the checkpoint's files. */
export async function deviceStepper(
  checkpoint: ModelSource,
  plan: ModelPlan,
  device: ComputeDevice,
  settings: StepperSettings,
  events: Pick<CompileOptions, 'onWeights' | 'onNote' | 'signal'>,
  weights: WeightSource = weightSource(checkpoint),
): Promise<DeviceStepper> {
  checkMemory(plan, device, checkpoint)
  const ring = new TokenRing(device.driver)
  const { kernels = [], selfCheck = false } = settings
  const model = new DeviceModel({
    driver: device.driver,
    compiler: selfCheck && kernels.length ? checkingCompiler(device, kernels, 'own') : device.compiler,
    weights,
    bindings: plan.bindings,
    states: { ring: ring.address },
    ...(events.onWeights ? { onWeights: events.onWeights } : {}),
  })
  const decoding = (batch: number) => ({ program: plan.program('decode', batch), feedback: decodeFeedback })
  try {
    const sizes = settings.batches ?? []
    const first = [{ program: plan.program('sample') }, decoding(1), ...sizes.map(decoding)]
    const [sample, decode, ...batches] = await model.load(first, events.signal)
    const stepper = new DeviceStepper({
      driver: device.driver,
      model,
      ring,
      sample: sample!,
      decode: decode!,
      load: async (kind) => (await model.load([{ program: plan.program(kind) }]))[0]!,
      loadBatch: async (batch) => batches[sizes.indexOf(batch)] ?? (await model.load([decoding(batch)]))[0]!,
      chunk: plan.chunk,
      pageSize: plan.pageSize,
      pages: plan.pages,
      pagesPerRequest: plan.pagesPerRequest,
      maxBatch: plan.maxBatch,
      replay: settings.replay,
      ...(events.onNote ? { onNote: events.onNote } : {}),
    })
    await stepper.checkReplay()
    return stepper
  } catch (error) {
    model[Symbol.dispose]()
    ring[Symbol.dispose]()
    throw error
  }
}
