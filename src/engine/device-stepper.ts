// Steps on a device. Tokens and positions stay there while decoding: each step writes what the next one reads, and the host
// reads tokens some steps behind, so that the device never waits for it.
import { invariant } from '../../ir/diagnostic.ts'
import type { DeviceModel } from '../../runtime/device-model.ts'
import type { Executable } from '../../runtime/executable.ts'
import type { Driver, PinnedBuffer, TimingEvent } from '../../runtime/platform/driver.ts'
import { type Decoding, greedy, type StepInput, type Stepper } from './stepper.ts'

export interface DeviceStepperParts {
  readonly driver: Driver
  readonly model: DeviceModel
  readonly sample: Executable
  readonly decode: Executable
  /** loads a program that is not always needed, when it is first asked for */
  readonly load: (kind: 'absorb' | 'score') => Promise<Executable>
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  /** replay decode steps as one captured graph where that is possible and proves right */
  readonly replay: boolean
  readonly onNote?: (note: string) => void
}

/** What a decode step writes for the next one. */
export const decodeFeedback = { token: 'tokens', next_positions: 'positions' } as const

/** Steps that may be on their way before the host has read a token. */
const depth = 4
/** how long a wait may keep other work of this process waiting, ms */
const patienceMs = 8

export class DeviceStepper implements Stepper {
  readonly chunk: number
  readonly pageSize: number
  readonly pages: number
  readonly #parts: DeviceStepperParts
  readonly #ring: PinnedBuffer
  readonly #tokens: Int32Array
  readonly #events: TimingEvent[] = []
  readonly #loaded = new Map<'absorb' | 'score', Promise<Executable>>()
  #decoding: DeviceDecoding | undefined

  constructor(parts: DeviceStepperParts) {
    this.#parts = parts
    this.chunk = parts.chunk
    this.pageSize = parts.pageSize
    this.pages = parts.pages
    this.#ring = parts.driver.during('tokens on their way to the host', () => parts.driver.allocPinned(depth * 4))
    this.#tokens = new Int32Array(this.#ring.view.buffer, this.#ring.view.byteOffset, depth)
    try {
      for (let i = 0; i < depth; i++) this.#events.push(parts.driver.createEvent({ timing: false }))
    } catch (error) {
      this.#release()
      throw error
    }
  }

  #release(): void {
    for (const event of this.#events) event[Symbol.dispose]()
    this.#ring[Symbol.dispose]()
  }

  async absorb(step: StepInput): Promise<void> {
    await this.#idle()
    this.#start(await this.#program('absorb'), step)
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

  #program(kind: 'absorb' | 'score'): Promise<Executable> {
    const known = this.#loaded.get(kind) ?? this.#parts.load(kind)
    this.#loaded.set(kind, known)
    known.catch(() => this.#loaded.delete(kind)) // the next call tries again
    return known
  }

  decode(step: StepInput, steps: number): Decoding {
    const previous = this.#decoding
    const decoding = new DeviceDecoding(
      this.#parts.decode,
      this.#parts,
      { ring: this.#ring, tokens: this.#tokens, events: this.#events },
      { count: steps, position: step.position },
      async () => {
        await previous?.stop()
        setStep(this.#parts.decode, step)
        this.#parts.decode.sendInputs()
      },
    )
    this.#decoding = decoding
    return decoding
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

  /** Compares one decode step launch by launch with its replay; replays from then on if both give the same logits. */
  async checkReplay(): Promise<void> {
    const { decode, replay, driver, onNote } = this.#parts
    if (!replay || !decode.replayable) return
    const probe: StepInput = {
      tokens: [0],
      position: 0,
      pages: [0],
      sampler: greedy,
    }
    const run = async () => {
      setStep(decode, probe)
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
    this.#release()
    this.#parts.model[Symbol.dispose]()
  }
}

function setStep(executable: Executable, { tokens, position, pages, sampler }: StepInput): void {
  executable.setInput('tokens', tokens)
  executable.setInput(
    'positions',
    tokens.map((_, i) => position + i),
  )
  executable.setInput('page_table', pages)
  if (executable.hasInput('last')) executable.setInput('last', [tokens.length - 1])
  if (!executable.hasInput('temperature')) return
  executable.setInput('temperature', [sampler.temperature])
  executable.setInput('top_k', [sampler.topK])
  executable.setInput('top_p', [sampler.topP])
  executable.setInput('min_p', [sampler.minP])
  executable.setInput('seed', [sampler.seed >>> 0])
  executable.setInput('repeat_penalty', [sampler.repeatPenalty])
}

/** Steps of a decoding, and the position of the first. */
interface Planned {
  readonly count: number
  readonly position: number
}

/** Where tokens arrive on the host: step n in slot n mod depth, there once its event is reached. */
interface Slots {
  readonly ring: PinnedBuffer
  readonly tokens: Int32Array
  readonly events: readonly TimingEvent[]
}

class DeviceDecoding implements Decoding {
  readonly #executable: Executable
  readonly #parts: DeviceStepperParts
  readonly #slots: Slots
  readonly #steps: Planned
  readonly #begin: () => Promise<void>
  #begun = false
  #stopped = false
  #started = 0
  #read = 0
  #lastTurn = performance.now()

  constructor(
    executable: Executable,
    parts: DeviceStepperParts,
    slots: Slots,
    steps: Planned,
    begin: () => Promise<void>,
  ) {
    this.#executable = executable
    this.#parts = parts
    this.#slots = slots
    this.#steps = steps
    this.#begin = begin
  }

  get stopped(): boolean {
    return this.#stopped
  }

  async next(): Promise<number> {
    invariant(!this.#stopped && this.#read < this.#steps.count, 'a decoding that has ended is asked for a token')
    if (!this.#begun) {
      await this.#begin()
      this.#begun = true
    }
    while (this.#started < this.#steps.count && this.#started - this.#read < depth) this.#enqueue()
    const slot = this.#read % depth
    await this.#reached(this.#slots.events[slot]!)
    this.#read++
    return this.#slots.tokens[slot]!
  }

  #enqueue(): void {
    const { driver, model } = this.#parts
    const slot = this.#started % depth
    this.#executable.run({ L: this.#steps.position + this.#started + 1 }) // fused attention reads L from the device, -O0 does not
    driver.copyToHost(
      this.#slots.ring.address + BigInt(slot * 4),
      this.#executable.outputAddress('token'),
      4,
      model.stream,
    )
    this.#slots.events[slot]!.record(model.stream)
    this.#started++
  }

  /** Waits for an event; lets the event loop turn now and then even if events are always there already. */
  async #reached(event: TimingEvent): Promise<void> {
    if (!event.reached) await event.synchronizeAsync()
    else if (performance.now() - this.#lastTurn > patienceMs) await new Promise((resolve) => setImmediate(resolve))
    else return
    this.#lastTurn = performance.now()
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#started > this.#read) await this.#parts.model.stream.synchronizeAsync()
  }
}
