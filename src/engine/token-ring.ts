// TokenRing: where sampled tokens arrive on the host, some steps behind the device.
import type { Driver, PinnedBuffer, Stream, TimingEvent } from '../../runtime/platform/driver.ts'
import { largestBatch } from './programs.ts'

/** steps that may be on their way before the host has read their tokens */
export const depth = 4

/** how long a wait may keep other work of this process waiting, ms */
const patienceMs = 8

export class TokenRing implements Disposable {
  readonly #driver: Driver
  readonly #pinned: PinnedBuffer
  readonly #tokens: Int32Array
  readonly #events: TimingEvent[] = []
  #lastTurn = performance.now()

  constructor(driver: Driver) {
    this.#driver = driver
    const words = depth * largestBatch
    this.#pinned = driver.during('tokens on their way to the host', () => driver.allocPinned(words * 4))
    this.#tokens = new Int32Array(this.#pinned.view.buffer, this.#pinned.view.byteOffset, words)
    try {
      for (let i = 0; i < depth; i++) this.#events.push(driver.createEvent({ timing: false }))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** Enqueues what brings the tokens of step `step` to the host. */
  send(step: number, tokens: bigint, sequences: number, stream: Stream): void {
    const slot = step % depth
    this.#driver.copyToHost(this.#pinned.address + BigInt(slot * largestBatch * 4), tokens, sequences * 4, stream)
    this.#events[slot]!.record(stream)
  }

  /** The tokens of step `step`, once they are there. */
  async receive(step: number, sequences: number): Promise<readonly number[]> {
    const slot = step % depth
    await this.#reached(this.#events[slot]!)
    return Array.from(this.#tokens.subarray(slot * largestBatch, slot * largestBatch + sequences))
  }

  /** Waits for an event; lets the event loop turn now and then even if events are always there already. */
  async #reached(event: TimingEvent): Promise<void> {
    if (!event.reached) await event.synchronizeAsync()
    else if (performance.now() - this.#lastTurn > patienceMs) await new Promise((resolve) => setImmediate(resolve))
    else return
    this.#lastTurn = performance.now()
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) event[Symbol.dispose]()
    this.#pinned[Symbol.dispose]()
  }
}
