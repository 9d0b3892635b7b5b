// Steps on a device: which program runs, on which inputs, and whether it is replayed. How tokens of a decoding come back is
// device-decoding.ts.
import { invariant } from '../../ir/diagnostic.ts'
import type { DeviceModel } from '../../runtime/execute/device-model.ts'
import type { Executable } from '../../runtime/execute/executable.ts'
import type { Driver } from '../../runtime/platform/driver.ts'
import { DeviceDecoding } from './device-decoding.ts'
import { batchFor } from './programs.ts'
import { samplerInputs } from './sampler-inputs.ts'
import {
  type BatchDecoding,
  type Decoding,
  greedy,
  type SamplerSettings,
  type StepInput,
  type Stepper,
} from './stepper.ts'
import type { TokenRing } from './token-ring.ts'

interface DeviceStepperParts {
  readonly driver: Driver
  readonly model: DeviceModel
  /** where decode programs of the model leave tokens */
  readonly ring: TokenRing
  readonly sample: Executable
  readonly decode: Executable
  /** loads a program that is not always needed, when it is first asked for */
  readonly load: (kind: 'prefill' | 'score') => Promise<Executable>
  /** the decode program for so many sequences, likewise */
  readonly loadBatch: (batch: number) => Promise<Executable>
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  readonly pagesPerRequest: number
  readonly maxBatch: number
  /** replay decode steps as one captured graph where that is possible and proves right */
  readonly replay: boolean
  readonly onNote?: (note: string) => void
}

export class DeviceStepper implements Stepper {
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  readonly #parts: DeviceStepperParts
  readonly maxBatch: number
  /** programs beyond those that are always there, by what is loaded */
  readonly #loaded = new Map<string, Promise<Executable>>()
  #decoding: DeviceDecoding | undefined

  constructor(parts: DeviceStepperParts) {
    this.#parts = parts
    this.chunk = parts.chunk
    this.pageSize = parts.pageSize
    this.pages = parts.pages
    this.maxBatch = parts.maxBatch
  }

  async prefill(step: StepInput): Promise<void> {
    await this.#idle()
    this.#start(await this.#program('prefill'), step)
  }

  async sample(step: StepInput): Promise<number> {
    await this.#idle()
    const { sample } = this.#parts
    this.#start(sample, step)
    return (await sample.read('token')).data[0]!
  }

  async logits(step: StepInput): Promise<Float32Array> {
    await this.#idle()
    const { sample } = this.#parts
    this.#start(sample, step)
    return (await sample.read('logits')).data as Float32Array
  }

  async allLogits(step: StepInput): Promise<Float32Array> {
    await this.#idle()
    const score = await this.#program('score')
    this.#start(score, step)
    return (await score.read('logits', { T: step.tokens.length })).data as Float32Array
  }

  /** When the blocks of the last decode step for one sequence were where, if it is one launch that takes that down. */
  stepTrace(): ReturnType<Executable['trace']> {
    return this.#parts.decode.trace()
  }

  #program(kind: 'prefill' | 'score'): Promise<Executable> {
    return this.#load(kind, () => this.#parts.load(kind))
  }

  #load(name: string, load: () => Promise<Executable>): Promise<Executable> {
    const known = this.#loaded.get(name) ?? load()
    this.#loaded.set(name, known)
    known.catch(() => this.#loaded.delete(name)) // the next call tries again
    return known
  }

  decode(step: StepInput, steps: number): Decoding {
    const batch = this.decodeBatch([step], steps)
    return {
      get stopped() {
        return batch.stopped
      },
      next: async () => (await batch.next())[0]!,
      stop: () => batch.stop(),
    }
  }

  decodeBatch(steps: readonly StepInput[], count: number): BatchDecoding {
    invariant(
      steps.length > 0 && steps.length <= this.maxBatch && steps.every(({ tokens }) => tokens.length === 1),
      `a decoding takes one token of each of 1 to ${this.maxBatch} sequences`,
    )
    const previous = this.#decoding
    const rows = batchFor(steps.length)
    const begin = async () => {
      await previous?.stop()
      const executable = await this.#decodeProgram(steps)
      setBatch(executable, steps, rows, this.#parts.pagesPerRequest)
      executable.sendInputs()
      this.#parts.ring.clear()
      return executable
    }
    const position = Math.max(...steps.map((step) => step.position))
    const decoding = new DeviceDecoding(
      this.#parts.model,
      this.#parts.ring,
      { count, position, sequences: steps.length, rows },
      begin,
    )
    this.#decoding = decoding
    return decoding
  }

  /** The smallest program that has room for these sequences; a new one is first tried on them. */
  async #decodeProgram(steps: readonly StepInput[]): Promise<Executable> {
    const batch = batchFor(steps.length)
    if (batch === 1) return this.#parts.decode
    return this.#load(`decode ${batch}`, async () => {
      const executable = await this.#parts.loadBatch(batch)
      // the step is the one that comes next: to take it more than once changes nothing
      await this.#tryReplay(executable, () => setBatch(executable, steps, batch, this.#parts.pagesPerRequest))
      return executable
    })
  }

  /** Other steps use the same buffers: what was started in advance must be over. */
  async #idle(): Promise<void> {
    await this.#decoding?.stop()
    this.#decoding = undefined
  }

  #start(executable: Executable, step: StepInput): void {
    invariant(step.tokens.length <= this.chunk, `a step takes ${this.chunk} tokens, got ${step.tokens.length}`)
    setStep(executable, step)
    executable.sendInputs()
    executable.run({ T: step.tokens.length, L: step.position + step.tokens.length })
  }

  /** Before the first decoding of one sequence: the cache is still empty, any step will do. */
  async checkReplay(): Promise<void> {
    const { decode } = this.#parts
    const first: StepInput = { tokens: [0], position: 0, pages: [0], sampler: greedy }
    await this.#tryReplay(decode, () => setBatch(decode, [first], 1, this.#parts.pagesPerRequest))
  }

  /** Compares a decode step launch by launch with its replay; replays from then on if both give the same logits. */
  async #tryReplay(decode: Executable, set: () => void): Promise<void> {
    const { replay, driver, onNote } = this.#parts
    if (!replay || !decode.replayable) return
    const run = async () => {
      set()
      decode.sendInputs()
      decode.run()
      return (await decode.read('logits')).data
    }
    if (driver.platform === 'host') return decode.capture() // our own runtime: its tests hold replays to plain launches
    const plain = await run()
    try {
      decode.capture()
      const replayed = await run()
      if (plain.every((v, i) => Object.is(v, replayed[i]))) return
      onNote?.(
        'replaying a captured step gave other logits than plain launches on this driver: plain launches are used',
      )
    } catch (error) {
      onNote?.(
        `a step could not be captured, plain launches are used: ${error instanceof Error ? error.message : error}`,
      )
    }
    decode.release()
  }

  /** Launches of one decode step, and whether they are replayed as one. */
  get decodeLaunches(): number {
    return this.#parts.decode.launches
  }

  [Symbol.dispose](): void {
    this.#parts.model.stream.synchronize()
    this.#parts.model[Symbol.dispose]()
    this.#parts.ring[Symbol.dispose]()
  }
}

/** One token after the other of one sequence. */
function setStep(executable: Executable, { tokens, position, pages, sampler }: StepInput): void {
  executable.setInput('tokens', tokens)
  executable.setInput(
    'positions',
    tokens.map((_, i) => position + i),
  )
  executable.setInput('page_table', pages)
  if (executable.hasInput('last')) executable.setInput('last', [tokens.length - 1])
  if (executable.hasInput('temperature')) setSamplers(executable, [sampler])
}

/** One token of each sequence. Rows without a sequence have no position and no page: kernels leave them alone. */
function setBatch(executable: Executable, steps: readonly StepInput[], batch: number, pagesPerRequest: number): void {
  const rows = Array.from({ length: batch }, (_, row) => row)
  const pageTable = new Int32Array(batch * pagesPerRequest).fill(-1)
  for (const [row, { pages }] of steps.entries()) pageTable.set(pages, row * pagesPerRequest)
  executable.setInput(
    'tokens',
    rows.map((row) => steps[row]?.tokens[0] ?? 0),
  )
  executable.setInput(
    'positions',
    rows.map((row) => steps[row]?.position ?? -1),
  )
  executable.setInput('seq', rows)
  executable.setInput('step', [0])
  executable.setInput('page_table', pageTable)
  setSamplers(
    executable,
    rows.map((row) => steps[row]?.sampler ?? greedy),
  )
}

function setSamplers(executable: Executable, samplers: readonly SamplerSettings[]): void {
  for (const [name, values] of Object.entries(samplerInputs(samplers))) executable.setInput(name, values)
}
