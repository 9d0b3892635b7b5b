// A decoding on a device: steps are enqueued ahead of the tokens that were read, so that the device never waits for the host.
// Tokens and positions stay there: each step writes what the next one reads.
import { invariant } from '../../ir/diagnostic.ts'
import type { Executable } from '../../runtime/execute/executable.ts'
import type { Stream } from '../../runtime/platform/driver.ts'
import { ringSlots } from '../models/step.ts'
import type { BatchDecoding } from './stepper.ts'
import type { TokenRing } from './token-ring.ts'

/** What a decode step writes for the next one. */
export const decodeFeedback = { token: 'tokens', next_positions: 'positions', next_step: 'step' } as const

interface Planned {
  /** steps at most */
  readonly count: number
  /** of the first step: the largest among the sequences */
  readonly position: number
  readonly sequences: number
  /** of the program, which may have room for more */
  readonly rows: number
}

export class DeviceDecoding implements BatchDecoding {
  readonly #stream: Stream
  readonly #ring: TokenRing
  readonly #plan: Planned
  readonly #begin: () => Promise<Executable>
  #executable: Executable | undefined
  #stopped = false
  #started = 0
  #read = 0

  /** `begin` waits until the device is free, sets the inputs of the first step and says what runs it */
  constructor(device: { readonly stream: Stream }, ring: TokenRing, plan: Planned, begin: () => Promise<Executable>) {
    this.#stream = device.stream
    this.#ring = ring
    this.#plan = plan
    this.#begin = begin
  }

  get stopped(): boolean {
    return this.#stopped
  }

  async next(): Promise<readonly number[]> {
    const { count, position, sequences, rows } = this.#plan
    invariant(!this.#stopped && this.#read < count, 'a decoding that has ended is asked for a token')
    this.#executable ??= await this.#begin()
    for (; this.#started < count && this.#started - this.#read < ringSlots; this.#started++) {
      this.#executable.run({ L: position + this.#started + 1 }) // fused attention reads L from the device, -O0 does not
      this.#ring.follow(this.#started, rows, this.#stream)
    }
    return this.#take(rows, sequences)
  }

  #take(rows: number, sequences: number): Promise<readonly number[]> {
    return this.#ring.take(this.#read++, rows, sequences, this.#stream, () => this.#executable?.check())
  }

  async finish(): Promise<readonly (readonly number[])[]> {
    const { sequences, rows } = this.#plan
    const rest: (readonly number[])[] = []
    while (!this.#stopped && this.#read < this.#started) rest.push(await this.#take(rows, sequences))
    this.#stopped = true
    return rest
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    if (this.#started > this.#read) await this.#stream.synchronizeAsync()
  }
}
