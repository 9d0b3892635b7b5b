// A model loaded for one batch size, with the timer between it and the runtime library.
import { memoryNeeds } from '../../runtime/execute/device-model.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import type { ComputeDevice } from '../api/device.ts'
import { ModelPlan } from '../api/plan.ts'
import { deviceStepper } from '../api/steppers.ts'
import type { DeviceStepper } from '../engine/device-stepper.ts'
import { batchFor } from '../engine/programs.ts'
import { greedy, type StepInput } from '../engine/stepper.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import { compileOptions, readOptions } from '../options.ts'
import type { LaunchTimer } from './launch-timer.ts'
import type { LoadResult } from './result.ts'
import type { BenchSettings } from './settings.ts'

/** A device opened for a benchmark. */
export interface BenchDevice {
  readonly device: ComputeDevice
  readonly timer: LaunchTimer
  /** kernels asked for since it was last set to zeros */
  kernels: { total: number; fromCache: number }
}

export interface Session extends Disposable {
  readonly stepper: DeviceStepper
  readonly plan: ModelPlan
  readonly batch: number
  readonly load: LoadResult
  /** takes note of the memory that is used now */
  watchMemory(): void
}

/** Graphs and programs for so many sequences of so many tokens. */
export function planFor(
  model: ModelSource,
  settings: BenchSettings,
  { target }: ComputeDevice,
  batch: number,
  capacity: number,
): ModelPlan {
  const { optLevel, kvDtype, activations, prompt, step, stepBlock } = settings
  const chunk = settings.chunk ?? Math.min(Math.max(prompt, 16), 512)
  const options = {
    ...{ optLevel, activations, chunk, step, context: capacity, maxBatch: batch },
    ...(kvDtype ? { kvDtype } : {}),
    ...(stepBlock ? { stepBlock } : {}),
  }
  return new ModelPlan(model, { ...readOptions(compileOptions, options), stepTrace: settings.kernels }, target)
}

/** Programs that are loaded together. */
export const programsOf = (plan: ModelPlan) => [
  plan.program('sample'),
  plan.program('decode'),
  ...(plan.maxBatch > 1 ? [plan.program('decode', batchFor(plan.maxBatch))] : []),
]

export async function openSession(
  { device, timer: _, ...bench }: BenchDevice,
  model: ModelSource,
  weights: WeightSource,
  plan: ModelPlan,
  settings: BenchSettings,
  events: {
    readonly onNote?: (note: string) => void
    readonly onWeights?: (progress: { bytes: number; totalBytes: number }) => void
    readonly signal?: AbortSignal
  },
): Promise<Session> {
  const { driver } = device
  const freeBefore = driver.memoryInfo().freeBytes
  const used = () =>
    driver.sharesHostMemory ? process.resourceUsage().maxRSS * 1024 : freeBefore - driver.memoryInfo().freeBytes
  bench.kernels.total = bench.kernels.fromCache = 0
  const start = performance.now()
  let kernelsMs = 0
  let read = { bytes: 0, ms: 0 }
  const stepper = await deviceStepper(
    model,
    plan,
    device,
    { replay: settings.replay },
    {
      ...events,
      onWeights(progress) {
        if (kernelsMs === 0) kernelsMs = performance.now() - start - progress.seconds * 1e3
        read = { bytes: progress.totalBytes, ms: progress.seconds * 1e3 }
        events.onWeights?.(progress)
      },
    },
    weights,
  )
  try {
    driver.synchronize()
    await warmUp(stepper, plan)
    const needs = memoryNeeds(programsOf(plan))
    const memory = {
      weights: needs.weights,
      kv: needs.states,
      arena: needs.arena,
      planned: needs.total,
      peak: used(),
    }
    return {
      stepper,
      plan,
      batch: plan.maxBatch,
      load: {
        batch: plan.maxBatch,
        context: plan.context,
        ms: performance.now() - start,
        kernels: { ...bench.kernels, ms: kernelsMs },
        weights: { ...read, gbPerSecond: read.ms > 0 ? read.bytes / read.ms / 1e6 : 0 },
        memory,
      },
      watchMemory() {
        memory.peak = Math.max(memory.peak, used())
      },
      [Symbol.dispose]: () => stepper[Symbol.dispose](),
    }
  } catch (error) {
    stepper[Symbol.dispose]()
    throw error
  }
}

/** One token of each sequence of the batch, behind `position` tokens that nobody wrote: the cache is full of zeros. */
export function inputsAt(
  { batch, plan }: Pick<Session, 'batch' | 'plan'>,
  position: number,
  vocab: number,
): StepInput[] {
  return Array.from({ length: batch }, (_, request) => ({
    tokens: [(3 + request * 37) % vocab],
    position,
    pages: Array.from({ length: plan.pagesPerRequest }, (_, page) => request * plan.pagesPerRequest + page),
    sampler: greedy,
  }))
}

/** The first decoding of a batch loads its program. */
async function warmUp(stepper: DeviceStepper, plan: ModelPlan): Promise<void> {
  const decoding = stepper.decodeBatch(inputsAt({ batch: plan.maxBatch, plan }, 0, 4), 2)
  await decoding.next()
  await decoding.next()
  await decoding.stop()
}
