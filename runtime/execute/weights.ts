// Loading weights into device memory: several reads at once, each into a pinned buffer of its own, copied to the
// device as soon as it is there (where the device's memory is the host's, reads go straight to their place). Weights that a
// device keeps in planes go by way of device memory, where a kernel puts their rows in order. Memory beyond the weights
// stays at those buffers.

import type { Program, ProgramBuffer } from '../../codegen/program.ts'
import { buffersOf } from '../../codegen/program.ts'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import type { DeviceBuffer, Driver, Stream } from '../platform/driver.ts'
import { type ConversionKernel, PlanesStage } from './planes-stage.ts'
import { partBytes, planReads, type WeightRead, type WeightSource, type WeightTarget } from './weight-reads.ts'

export type { WeightSource } from './weight-reads.ts'

export interface LoadProgress {
  /** of weights that have arrived; equals `totalBytes` once, when all have */
  readonly bytes: number
  readonly totalBytes: number
  /** since the first read began */
  readonly seconds: number
}

/** libuv's pool, which does the reading, has four threads unless the environment says otherwise. */
const threads = Math.min(16, Math.max(1, Number(process.env['UV_THREADPOOL_SIZE']) || 4))

/** Reads in flight at once: one a thread, while the bytes of two more are being copied. */
const lanes = threads + 2

/** 8 MiB keep a thread busy for a millisecond or more; larger reads would only take longer to begin and to end. */
const largestRead = 8 * 2 ** 20

/** Weights in device memory, by name; programs that share a weight share its memory. */
export class DeviceWeights implements Disposable {
  readonly #driver: Driver
  readonly #conversion: ConversionKernel | undefined
  readonly #buffers: DeviceBuffer[] = []
  /** buffer key (its parts' names) → address */
  readonly #addresses = new Map<string, bigint>()

  /** Programs that read weights in planes need `conversion`: the kernels that bring them there. */
  constructor(driver: Driver, conversion?: ConversionKernel) {
    this.#driver = driver
    this.#conversion = conversion
  }

  /** Bytes of the weights of these programs that are not loaded yet. */
  bytesToLoad(programs: readonly Program[]): number {
    return this.#missing(programs).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** Loads what is not there yet. After a failure nothing is being read any more; the weights are to be disposed of. */
  async load(
    programs: readonly Program[],
    source: WeightSource,
    stream: Stream,
    onProgress?: (progress: LoadProgress) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    const missing = this.#missing(programs)
    if (missing.length === 0) return
    const addresses = new Map<string, bigint>()
    const targets: WeightTarget[] = []
    for (const buffer of missing) {
      signal?.throwIfAborted()
      const { address } = this.#allocate(buffer)
      addresses.set(keyOf(buffer), address)
      for (const { weight, type, bytes, offset, layout } of buffer.parts!) {
        targets.push({ weight, type, bytes, address: address + BigInt(offset), layout })
        addresses.set(weight, address + BigInt(offset))
      }
    }
    using planes = this.#stageFor(targets, programs[0]!.target, stream)
    const direct = this.#driver.sharesHostMemory && !planes
    const sizes = { largest: largestRead, alone: direct ? 2 ** 16 : 2 ** 20, gap: 4096 }
    const start = performance.now()
    const toRead = targets.filter((target) => !filled(target, source, stream, planes))
    const reads = planReads(toRead, source, sizes)
    const totalBytes = targets.reduce((sum, { bytes }) => sum + bytes, 0)
    let bytes = totalBytes - toRead.reduce((sum, target) => sum + target.bytes, 0)
    const report = () => onProgress?.({ bytes, totalBytes, seconds: (performance.now() - start) / 1000 })

    using upload = new Upload(this.#driver, stream, reads, direct, planes)
    await upload.all(signal, (read) => {
      bytes += bytesIn(read)
      if (bytes < totalBytes) report()
    })
    if (toRead.length < targets.length) await stream.synchronizeAsync() // what the device fills is there when it says so
    report()
    for (const [key, address] of addresses) this.#addresses.set(key, address)
  }

  /** The way into planes, if any of these weights is to take it. */
  #stageFor(targets: readonly WeightTarget[], target: Program['target'], stream: Stream): PlanesStage | undefined {
    const sizes = targets
      .filter(({ layout }) => layout === 'planes')
      .map((one) => Math.min(one.bytes, partBytes(one, largestRead)))
    if (sizes.length === 0) return undefined
    invariant(this.#conversion, 'weights in planes need the kernels that bring them there')
    return new PlanesStage(this.#driver, stream, { target, kernel: this.#conversion, bytes: Math.max(...sizes) })
  }

  #allocate({ id, bytes }: ProgramBuffer): DeviceBuffer {
    const memory = this.#driver.during(`weight ${id}`, () => this.#driver.alloc(bytes))
    this.#buffers.push(memory)
    return memory
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

const bytesIn = (read: WeightRead): number => read.pieces.reduce((sum, { bytes }) => sum + bytes, 0)

/** Lets the source make a weight on the device; false: it does not. */
function filled(target: WeightTarget, source: WeightSource, stream: Stream, planes: PlanesStage | undefined): boolean {
  const { weight, type, address, bytes: all, layout } = target
  if (layout === 'blocks') return source.fill?.({ weight, type, address, bytes: all, offset: 0 }, stream) ?? false
  const most = partBytes(target, largestRead)
  for (let offset = 0; offset < all; offset += most) {
    const bytes = Math.min(most, all - offset)
    if (!source.fill?.({ weight, type, address: planes!.address, bytes, offset }, stream)) return false
    planes!.convert(type, bytes, address + BigInt(offset))
  }
  return true
}

/** Carries out a list of reads, several at once. */
class Upload implements Disposable {
  readonly #stream: Stream
  readonly #reads: readonly WeightRead[]
  readonly #direct: boolean
  readonly #lanes: Lane[] = []
  #next = 0

  /** `direct`: reads go straight to their place, none of them into planes. */
  constructor(
    driver: Driver,
    stream: Stream,
    reads: readonly WeightRead[],
    direct: boolean,
    planes: PlanesStage | undefined,
  ) {
    this.#stream = stream
    this.#direct = direct
    this.#reads = reads
    const bytes = Math.max(0, ...reads.map((read) => read.bytes))
    try {
      while (this.#lanes.length < Math.min(lanes, reads.length))
        this.#lanes.push(direct ? directLane(driver) : new StagedLane(driver, stream, bytes, planes))
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  /** All reads, in any order; on return the device has them. After a failure, no read is in flight. */
  async all(signal: AbortSignal | undefined, onRead: (read: WeightRead) => void): Promise<void> {
    const ended = await Promise.allSettled(this.#lanes.map((lane) => this.#work(lane, signal, onRead)))
    const failed = ended.find((end) => end.status === 'rejected')
    if (failed) throw failed.reason
    if (!this.#direct) await this.#stream.synchronizeAsync()
  }

  /** Takes read after read until none is left, or another lane failed. */
  async #work(lane: Lane, signal: AbortSignal | undefined, onRead: (read: WeightRead) => void): Promise<void> {
    try {
      for (let read = this.#reads[this.#next++]; read; read = this.#reads[this.#next++]) {
        signal?.throwIfAborted()
        await lane.run(read)
        onRead(read)
      }
    } catch (error) {
      this.#next = this.#reads.length
      throw error
    }
  }

  [Symbol.dispose](): void {
    if (!this.#direct) this.#stream.synchronize() // copies still read the buffers
    for (const lane of this.#lanes) lane[Symbol.dispose]()
  }
}

/** One read at a time. */
interface Lane extends Disposable {
  run(read: WeightRead): Promise<void>
}

/** Into a pinned buffer, and from there to the device in the stream's order. */
class StagedLane implements Lane {
  readonly #driver: Driver
  readonly #stream: Stream
  readonly #planes: PlanesStage | undefined
  readonly #buffer
  readonly #copied
  #busy = false

  constructor(driver: Driver, stream: Stream, bytes: number, planes: PlanesStage | undefined) {
    this.#driver = driver
    this.#stream = stream
    this.#planes = planes
    this.#copied = driver.createEvent({ timing: false })
    try {
      this.#buffer = driver.during('staging of weights', () => driver.allocPinned(bytes))
    } catch (error) {
      this.#copied[Symbol.dispose]()
      throw error
    }
  }

  async run(read: WeightRead): Promise<void> {
    const buffer = this.#buffer
    if (this.#busy && !this.#copied.reached) await this.#copied.synchronizeAsync()
    await carryOut(read, buffer.view.subarray(0, read.bytes))
    this.#driver.during(`copying ${named(read)}`, () => {
      for (const { from, bytes, to, planes } of read.pieces) {
        this.#driver.copyToDevice(
          planes ? this.#planes!.address : to,
          buffer.address + BigInt(from),
          bytes,
          this.#stream,
        )
        if (planes) this.#planes!.convert(planes, bytes, to)
      }
      this.#copied.record(this.#stream)
    })
    this.#busy = true
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]()
    this.#copied[Symbol.dispose]()
  }
}

/** Straight to its place; small neighbours by way of a buffer, since they are neighbours in the file alone. */
const directLane = (driver: Driver): Lane => ({
  async run(read) {
    const { pieces } = read
    if (pieces.length === 1) return carryOut(read, driver.viewOf(pieces[0]!.to, read.bytes))
    const together = new Uint8Array(read.bytes)
    await carryOut(read, together)
    for (const { from, bytes, to } of pieces) driver.viewOf(to, bytes).set(together.subarray(from, from + bytes))
  },
  [Symbol.dispose]() {},
})

const named = ({ weights }: WeightRead): string => {
  const names = weights.length > 3 ? [...weights.slice(0, 3), `${weights.length - 3} more`] : weights
  return `${weights.length > 1 ? 'weights' : 'weight'} ${names.join(', ')}`
}

/** Carries out a read; a file's failure says which weights it was about. */
async function carryOut(read: WeightRead, into: Uint8Array): Promise<void> {
  try {
    await read.fill(into)
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    const { facts, ...data } = { facts: [], ...error.toJSON() }
    throw new Diagnostic({ ...data, facts: [['at', `reading ${named(read)}`], ...facts] }, { cause: error })
  }
}
