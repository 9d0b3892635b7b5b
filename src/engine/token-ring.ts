// TokenRing: where the tokens of a decoding arrive. The device writes each beside the number of its step into memory that the
// host sees too; the host looks there, and sleeps where it knows that nothing can have come yet.
import { setTimeout as sleep } from 'node:timers/promises'
import { invariant } from '../../ir/diagnostic.ts'
import type { DeviceBuffer, Driver, PinnedBuffer, Stream, TimingEvent } from '../../runtime/platform/driver.ts'
import { ringSlots } from '../models/step.ts'
import { largestBatch } from './programs.ts'

/** how long other work of this process may wait while tokens are always there already, ms */
const maxTurnMs = 8
/** timers come up to 1 ms late: what is nearer is waited for by looking again and again */
const nearMs = 2

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

export class TokenRing implements Disposable {
  /** of `ring`, a state of decode programs */
  readonly address: bigint
  readonly #driver: Driver
  /** what the host reads: the ring itself, or its copy */
  readonly #seen: PinnedBuffer
  /** where device and host share no memory, the ring is here and every step is copied */
  readonly #own: DeviceBuffer | undefined
  /** where the CPU is the device, to look again and again would take it from the kernels: these are waited for */
  readonly #events: readonly TimingEvent[]
  /** [slot, row, (token, step + 1)] */
  readonly #words: Int32Array<ArrayBuffer>
  #lastTurn = performance.now()
  /** when the token taken last came, if it was waited for; and how long a step seems to take, ms */
  #came = Number.NaN
  #interval = 0

  constructor(driver: Driver) {
    this.#driver = driver
    const words = ringSlots * largestBatch * 2
    const shared = driver.during('tokens on their way to the host', () => driver.allocShared(words * 4))
    this.#seen = shared ?? driver.allocPinned(words * 4)
    this.#own = shared ? undefined : driver.alloc(words * 4)
    this.address = this.#own?.address ?? this.#seen.address
    this.#events = driver.sharesHostMemory
      ? Array.from({ length: ringSlots }, () => driver.createEvent({ timing: false }))
      : []
    this.#words = new Int32Array(this.#seen.view.buffer, this.#seen.view.byteOffset, words)
    this.clear()
  }

  /** Forgets what earlier decodings left, while none is running. */
  clear(): void {
    this.#words.fill(0)
    this.#came = Number.NaN
    this.#interval = 0
  }

  /** Enqueues, behind a step, what else it takes for its tokens to be seen: on a GPU that shares memory, nothing. */
  follow(step: number, rows: number, stream: Stream): void {
    this.#events[step % ringSlots]?.record(stream)
    if (!this.#own) return
    const [offset, bytes] = [(step % ringSlots) * rows * 8, rows * 8]
    this.#driver.copyToHost(this.#seen.address + BigInt(offset), this.#own.address + BigInt(offset), bytes, stream)
  }

  /** The first `count` tokens of a step of `rows` rows, once they are there; `check` knows why they may never come. */
  async take(
    step: number,
    rows: number,
    count: number,
    stream: Stream,
    check: () => void = () => {},
  ): Promise<readonly number[]> {
    const at = (step % ringSlots) * rows * 2
    if (this.#has(at, count, step)) {
      this.#came = Number.NaN
      if (performance.now() - this.#lastTurn > maxTurnMs) await this.#turn()
    } else {
      await this.#wait(at, count, step, stream, check)
      const now = performance.now()
      if (this.#came <= now) this.#interval += (now - this.#came - this.#interval) / 4
      this.#came = now
    }
    const tokens = new Array<number>(count)
    for (let row = 0; row < count; row++) tokens[row] = this.#words[at + row * 2]!
    return tokens
  }

  /** The step's number is loaded first: what stands beside it is as new. */
  #has(at: number, count: number, step: number): boolean {
    for (let row = count - 1; row >= 0; row--) {
      if (Atomics.load(this.#words, at + row * 2 + 1) !== step + 1) return false
    }
    return true
  }

  async #wait(at: number, count: number, step: number, stream: Stream, check: () => void): Promise<void> {
    const event = this.#events[step % ringSlots]
    if (event) {
      await event.synchronizeAsync()
      this.#lastTurn = performance.now()
      return this.#expect(at, count, step, check)
    }
    const began = performance.now()
    const ahead = this.#came + this.#interval - began || 0
    if (ahead > nearMs) {
      await sleep(ahead - nearMs / 2)
      if (this.#has(at, count, step)) this.#interval *= 0.75 // slept too long, who knows how much
    }
    const late = began + Math.max(ahead, 0) + 2 * nearMs
    do {
      await this.#turn()
      if (performance.now() < late) continue
      await sleep(1)
      // a device that failed will never write: to ask it throws
      if (stream.idle) this.#expect(at, count, step, check)
    } while (!this.#has(at, count, step))
  }

  #expect(at: number, count: number, step: number, check: () => void): void {
    check()
    invariant(this.#has(at, count, step), `step ${step} of a decoding has run and left no token`)
  }

  async #turn(): Promise<void> {
    await turn()
    this.#lastTurn = performance.now()
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]()
    this.#own?.[Symbol.dispose]()
    this.#seen[Symbol.dispose]()
  }
}
