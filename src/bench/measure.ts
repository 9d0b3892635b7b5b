// The measurements of a session: decoding behind a context, and reading a prompt.
import type { DeviceBuffer } from '../../runtime/platform/driver.ts'
import { batchFor } from '../engine/programs.ts'
import { greedy, type StepInput } from '../engine/stepper.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import { flopsOf, kvBytesPerToken, stepBindings, weightBytesRead } from './bytes.ts'
import type { FillDelay } from './launch-timer.ts'
import { profileOf } from './profile.ts'
import type { DecodeResult, PrefillResult, StepProfile } from './result.ts'
import type { BenchDevice, Session } from './session.ts'
import { inputsAt } from './session.ts'
import { stageTimes } from './stage-times.ts'
import { mean, median, quantile, spread } from './statistics.ts'

interface Measuring {
  readonly bench: BenchDevice
  readonly session: Session
  readonly config: ModelConfig
  readonly signal?: AbortSignal | undefined
}

const warmUpTokens = 8
const profiledSteps = 8
/** time that the host may take to enqueue one launch between two events */
const enqueueMs = 0.015
const delayBytes = 256 * 2 ** 20

/** Decodes `count` tokens; when each arrived, ms. */
async function arrivals(
  { session, signal }: Measuring,
  inputs: readonly StepInput[],
  count: number,
): Promise<number[]> {
  const decoding = session.stepper.decodeBatch(inputs, count)
  const times: number[] = []
  try {
    while (times.length < count) {
      signal?.throwIfAborted()
      await decoding.next()
      times.push(performance.now())
    }
  } finally {
    await decoding.stop()
  }
  return times
}

/** Decodes behind `context` tokens. `readBytesPerSecond`: what memory gives to a plain read. */
export async function measureDecode(
  measuring: Measuring,
  context: number,
  { tokens, rounds, readBytesPerSecond }: { tokens: number; rounds: number; readBytesPerSecond: number },
): Promise<DecodeResult> {
  const { session, bench, config } = measuring
  const { plan, batch } = session
  const program = plan.program('decode', batchFor(batch))
  const inputs = inputsAt(session, context, config.vocabSize)
  const everyLaunch = 'persistent' in program && program.persistent !== undefined
  await arrivals(measuring, inputs, Math.min(warmUpTokens, tokens))

  const means: number[] = []
  const between: number[] = []
  const onDevice: number[] = []
  const onHost: number[] = []
  for (let round = 0; round < rounds; round++) {
    let times: number[] = []
    const { deviceMs, enqueuedAt } = await bench.timer.steps(
      async () => {
        const start = performance.now()
        times = await arrivals(measuring, inputs, tokens)
        means.push((times.at(-1)! - start) / tokens)
        for (let i = 1; i < times.length; i++) between.push(times[i]! - times[i - 1]!)
      },
      { everyLaunch },
    )
    if (deviceMs.length === tokens - 1) onDevice.push(...deviceMs)
    onHost.push(...hostTimes(times, enqueuedAt))
  }
  session.watchMemory()
  const ms = spread(means)
  const seen = context + tokens / 2 // tokens that a step sees, in the middle of a round
  const kv = kvBytesPerToken(program, plan.pages, plan.pageSize) * Math.min(seen, config.slidingWindow ?? seen) * batch
  const weights = weightBytesRead(program)
  const device =
    onDevice.length > 0 ? { median: median(onDevice), p99: quantile(onDevice, 0.99), mean: mean(onDevice) } : null
  return {
    context,
    batch,
    tokens,
    rounds,
    tokensPerSecond: (1e3 * batch) / ms.median,
    tokensPerSecondPerRequest: 1e3 / ms.median,
    ms,
    deviceMs: device,
    arrivalP99Ms: quantile(between, 0.99),
    hostMs: onHost.length > 0 ? median(onHost) : null,
    bytes: { weights, kv },
    mbu: (weights + kv) / (ms.median / 1e3) / readBytesPerSecond,
    profile: await decodeProfile(measuring, inputs, Math.min(profiledSteps, tokens), device?.median ?? ms.median),
  }
}

/** From the arrival of a token to the end of the call that enqueues a step behind it. */
function hostTimes(arrived: readonly number[], enqueued: readonly number[]): number[] {
  const times: number[] = []
  let next = 0
  for (const at of enqueued) {
    if (at < arrived[0]!) continue // the first steps wait for no token
    while (next + 1 < arrived.length && arrived[next + 1]! <= at) next++
    times.push(at - arrived[next]!)
  }
  return times
}

async function decodeProfile(
  measuring: Measuring,
  inputs: readonly StepInput[],
  steps: number,
  stepMs: number,
): Promise<StepProfile | null> {
  const { bench, session } = measuring
  const { driver } = bench.device
  const program = session.plan.program('decode', batchFor(session.batch))
  const batch = batchFor(session.batch)
  using memory = delayMemory(measuring)
  const spans = await bench.timer.launches(
    async () => {
      await arrivals(measuring, inputs, steps)
      driver.synchronize()
    },
    memory && delayOf(memory, program.calls.length, session),
  )
  const profile = profileOf(
    spans,
    steps,
    program,
    stepBindings(batch, batch, inputs[0]!.position + 1, session.plan.pageSize),
    stepMs,
  )
  const ticksPerUs = { nvidia: 1000, amd: 100, host: undefined }[driver.platform]
  const trace = batch === 1 && ticksPerUs ? session.stepper.stepTrace() : undefined
  return profile && trace && ticksPerUs
    ? { ...profile, stages: stageTimes({ ...trace, ticksPerUs }, program) }
    : profile
}

/** The host platform enqueues far faster than it computes. */
function delayMemory({ bench }: Measuring): DeviceBuffer | undefined {
  const { driver } = bench.device
  if (driver.sharesHostMemory || driver.memoryInfo().freeBytes < 2 * delayBytes) return undefined
  return driver.during('the delay of a profile', () => driver.alloc(delayBytes))
}

/** Writes at 3 TB/s at most, which is what no memory exceeds by much. */
const delayOf = (memory: DeviceBuffer, launches: number, { plan }: Session): FillDelay => ({
  address: memory.address,
  bytes: delayBytes,
  times: Math.ceil((launches * enqueueMs * Math.min(3000, 1.2 * (plan.target?.memoryGBs ?? 3000)) * 1e6) / delayBytes),
})

/** Reads a prompt of `tokens` made-up tokens, in chunks. */
export async function measurePrefill(measuring: Measuring, tokens: number, rounds: number): Promise<PrefillResult> {
  const { bench, session, config, signal } = measuring
  const { stepper, plan } = session
  const pages = Array.from({ length: plan.pagesPerRequest }, (_, page) => page)
  const ids = Array.from({ length: tokens }, (_, i) => (3 + i * 37) % config.vocabSize)
  const starts = Array.from({ length: Math.ceil(tokens / plan.chunk) }, (_, i) => i * plan.chunk)
  const step = (at: number): StepInput => ({
    tokens: ids.slice(at, at + plan.chunk),
    position: at,
    pages,
    sampler: greedy,
  })
  const read = async () => {
    for (const at of starts.slice(0, -1)) await stepper.prefill(step(at))
    signal?.throwIfAborted()
    await stepper.sample(step(starts.at(-1)!))
  }
  await read()
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const start = performance.now()
    await read()
    times.push(performance.now() - start)
  }
  session.watchMemory()
  const ms = spread(times)
  const flops = starts.reduce((sum, at) => {
    const last = at === starts.at(-1)
    return sum + flopsOf(plan.program(last ? 'sample' : 'prefill'), step(at).tokens.length, at, plan.pageSize)
  }, 0)
  const spans = await bench.timer.launches(async () => {
    await read()
    bench.device.driver.synchronize()
  })
  const program = plan.program('sample')
  return {
    tokens,
    chunk: plan.chunk,
    rounds,
    tokensPerSecond: (1e3 * tokens) / ms.median,
    ms,
    tflops: flops / ms.median / 1e9,
    profile: profileOf(
      spans,
      1,
      program,
      stepBindings(Math.min(tokens, plan.chunk), 1, tokens, plan.pageSize),
      ms.median,
    ),
  }
}
