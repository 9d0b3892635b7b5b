// Weights on their way into device memory: read in chunks, straight to their place. Host memory beyond the weights stays
// at two staging buffers (none where the device's memory is the host's).

import type { Program, ProgramBuffer } from '../codegen/program.ts'
import { buffersOf } from '../codegen/program.ts'
import { invariant } from '../ir/diagnostic.ts'
import type { TensorType } from '../ir/type.ts'
import type { DeviceBuffer, Driver, Stream } from './platform/driver.ts'

/** Where weights come from. */
export interface WeightSource {
  /** fills `into` with the bytes of a weight from `offset` on, as its type lays them out */
  read(name: string, type: TensorType, into: Uint8Array, offset: number): Promise<void> | void
}

export interface LoadProgress {
  readonly bytes: number
  readonly totalBytes: number
}

const chunkBytes = 16 * 2 ** 20

/** Weights in device memory, by name; programs that share a weight share its memory. */
export class DeviceWeights implements Disposable {
  readonly #driver: Driver
  readonly #buffers: DeviceBuffer[] = []
  /** buffer key (its parts' names) → address */
  readonly #addresses = new Map<string, bigint>()

  constructor(driver: Driver) {
    this.#driver = driver
  }

  /** Bytes of the weights of these programs that are not loaded yet. */
  bytesToLoad(programs: readonly Program[]): number {
    return this.#missing(programs).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Loads what is not there yet. */
  async load(
    programs: readonly Program[],
    source: WeightSource,
    stream: Stream,
    onProgress?: (progress: LoadProgress) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const missing = this.#missing(programs)
    const totalBytes = missing.reduce((sum, { bytes }) => sum + bytes, 0)
    if (missing.length === 0) return
    using upload = new Upload(this.#driver, stream)
    let done = 0
    for (const buffer of missing) {
      const memory = this.#driver.during(`weight ${buffer.id}`, () => this.#driver.alloc(buffer.bytes))
      this.#buffers.push(memory)
      for (const part of buffer.parts!) {
        for (let offset = 0; offset < part.bytes; offset += chunkBytes) {
          signal?.throwIfAborted()
          const bytes = Math.min(chunkBytes, part.bytes - offset)
          await upload.chunk(memory.address + BigInt(part.offset + offset), bytes, (into) =>
            source.read(part.weight, part.type, into, offset),
          )
          done += bytes
          onProgress?.({ bytes: done, totalBytes })
        }
        this.#addresses.set(part.weight, memory.address + BigInt(part.offset))
      }
      this.#addresses.set(keyOf(buffer), memory.address)
    }
    upload.finish()
  }

  addressOf(buffer: ProgramBuffer): bigint {
    const address = this.#addresses.get(keyOf(buffer))
    invariant(address !== undefined, `weight ${buffer.id} is not loaded`)
    return address
  }

  /** The largest first, so that merged weights come before their parts, which then need no memory of their own. */
  #missing(programs: readonly Program[]): ProgramBuffer[] {
    const wanted = new Map<string, ProgramBuffer>()
    for (const program of programs) for (const buffer of buffersOf(program, 'weight')) wanted.set(keyOf(buffer), buffer)
    const within = new Set(
      [...wanted.values()]
        .filter(({ parts }) => parts!.length > 1)
        .flatMap(({ parts }) => parts!.map(({ weight }) => weight)),
    )
    return [...wanted]
      .filter(([key, { parts }]) => !this.#addresses.has(key) && !(parts!.length === 1 && within.has(key)))
      .map(([, buffer]) => buffer)
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.splice(0)) buffer[Symbol.dispose]()
    this.#addresses.clear()
  }
}

const keyOf = (buffer: ProgramBuffer): string => buffer.parts!.map(({ weight }) => weight).join('+')

/** Two pinned buffers in turn, so that reading the file and copying to the device overlap. */
class Upload implements Disposable {
  readonly #driver: Driver
  readonly #stream: Stream
  readonly #staging
  #turn = 0

  constructor(driver: Driver, stream: Stream) {
    this.#driver = driver
    this.#stream = stream
    this.#staging = driver.sharesHostMemory
      ? []
      : [0, 1].map(() => ({
          buffer: driver.during('staging of weights', () => driver.allocPinned(chunkBytes)),
          copied: driver.createEvent({ timing: false }),
          busy: false,
        }))
  }

  async chunk(to: bigint, bytes: number, fill: (into: Uint8Array) => Promise<void> | void): Promise<void> {
    const slot = this.#staging[this.#turn++ % 2]
    if (!slot) return fill(this.#driver.viewOf(to, bytes))
    if (slot.busy) slot.copied.synchronize()
    await fill(slot.buffer.view.subarray(0, bytes))
    this.#driver.copyToDevice(to, slot.buffer.address, bytes, this.#stream)
    slot.copied.record(this.#stream)
    slot.busy = true
  }

  finish(): void {
    if (this.#staging.length) this.#stream.synchronize()
  }

  [Symbol.dispose](): void {
    this.finish()
    for (const { buffer, copied } of this.#staging) {
      buffer[Symbol.dispose]()
      copied[Symbol.dispose]()
    }
  }
}
