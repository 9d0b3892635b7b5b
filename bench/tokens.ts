// Node's own time a token: everything between a token in the ring and its text with the caller, and back to the call that
// would enqueue the next step. The device is played by a store into the ring, so that nothing is waited for.
import { join } from 'node:path'
import { packageRoot } from '../ir/package-root.ts'
import type { Executable } from '../runtime/execute/executable.ts'
import { openDriver, resolveDevice } from '../runtime/platform/devices.ts'
import { compileParts } from '../src/api/compile.ts'
import { Model, releaseAll } from '../src/api/model.ts'
import { DeviceDecoding } from '../src/engine/device-decoding.ts'
import { batchFor } from '../src/engine/programs.ts'
import type { BatchDecoding, StepInput, Stepper } from '../src/engine/stepper.ts'
import { TokenRing } from '../src/engine/token-ring.ts'
import { ringSlots } from '../src/models/step.ts'
import { median } from './compile-times.ts'

export interface TokenTimes {
  readonly batch: number
  /** of a step, µs, the median of the rounds */
  readonly stepUs: number
  /** of one token of it */
  readonly tokenUs: number
}

const rounds = 5

export async function tokenTimes(tokens = 20_000): Promise<TokenTimes[]> {
  using driver = await openDriver(await resolveDevice('host'))
  using stream = driver.createStream()
  using ring = new TokenRing(driver)
  const words = new Int32Array(driver.viewOf(ring.address, ringSlots * 32 * 8).buffer)
  const maxBatch = 32
  const context = tokens + 64
  const parts = await compileParts(join(packageRoot(), 'models/story-3m'), { device: 'reference', context, maxBatch })
  const text = parts.tokenizer.encode('Once upon a time there was a little girl named Lily. She loved to play outside.')

  const decodeBatch = (steps: readonly StepInput[], count: number): BatchDecoding => {
    const rows = batchFor(steps.length)
    let step = 0
    const executable = {
      run() {
        const at = (step % ringSlots) * rows * 2
        for (let row = 0; row < rows; row++) words[at + row * 2] = text[(step + row) % text.length]!
        step++
        for (let row = 0; row < rows; row++) words[at + row * 2 + 1] = step
      },
    } as unknown as Executable
    ring.clear()
    const plan = { count, position: 0, sequences: steps.length, rows }
    return new DeviceDecoding({ stream }, ring, plan, async () => executable)
  }
  const { chunk, pageSize, pages } = parts.stepper
  const stepper = {
    chunk,
    pageSize,
    pages,
    maxBatch,
    prefill: async () => {},
    sample: async () => text[0]!,
    decodeBatch,
  }
  const model = new Model({ ...parts, stepper: stepper as unknown as Stepper, owned: [] })

  const generation = async (maxTokens: number) => {
    for await (const _ of model.generate('Once', { maxTokens, ignoreEos: true })) {
      // taking the piece is the caller's part
    }
  }
  const times: TokenTimes[] = []
  for (const batch of [1, 8, 32]) {
    const steps = Math.ceil(tokens / batch)
    const measured: number[] = []
    for (let round = 0; round <= rounds; round++) {
      const start = performance.now()
      await Promise.all(Array.from({ length: batch }, () => generation(steps)))
      if (round > 0) measured.push(((performance.now() - start) * 1e3) / steps)
    }
    const stepUs = median(measured)
    times.push({ batch, stepUs, tokenUs: stepUs / batch })
  }
  await releaseAll(parts.owned)
  return times
}
