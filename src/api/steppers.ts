// Steppers: what runs a model's steps on the device it was planned for.
import { DeviceModel } from '../../runtime/execute/device-model.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import { decodeFeedback } from '../engine/device-decoding.ts'
import { DeviceStepper } from '../engine/device-stepper.ts'
import { ReferenceStepper } from '../engine/reference-stepper.ts'
import type { Stepper } from '../engine/stepper.ts'
import { TokenRing } from '../engine/token-ring.ts'
import { decodedWeights, weightSource } from '../engine/weight-values.ts'
import type { Checkpoint, ModelSource } from '../loader/checkpoint.ts'
import type { CompileOptions, CompileSettings } from '../options.ts'
import type { ComputeDevice, Device } from './device.ts'
import { checkMemory, checkReferenceMemory } from './memory-check.ts'
import type { ModelPlan } from './plan.ts'
import { checkingCompiler } from './self-check.ts'

export async function createStepper(
  checkpoint: Checkpoint,
  plan: ModelPlan,
  device: Device,
  settings: CompileSettings,
): Promise<Stepper> {
  if (device.kind === 'reference') return referenceStepper(checkpoint, plan)
  const seen = device === settings.device ? watched(device, settings) : device
  return deviceStepper(checkpoint, plan, seen, { ...settings, batches: plan.largerBatches }, settings)
}

function referenceStepper(checkpoint: Checkpoint, plan: ModelPlan): Stepper {
  checkReferenceMemory(plan)
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

interface StepperSettings
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
