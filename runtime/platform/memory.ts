// Memory of a device, and pinned memory of the host: addresses with an owner that frees them once.
import type { CallName } from './calls.ts'
import type { DriverCore } from './core.ts'
import { viewMemory } from './ffi.ts'
import type { Stream } from './stream.ts'

const gib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`

/** Free and total memory in bytes, other processes' use counted. */
export interface MemoryInfo {
  readonly freeBytes: number
  readonly totalBytes: number
}

/** Device memory at `address`, `bytes` long. On the host platform it is ordinary memory. */
export class DeviceBuffer implements Disposable {
  readonly address: bigint
  readonly bytes: number
  readonly #core: DriverCore
  readonly #stream: Stream | undefined
  #open = true

  /** `stream` marks a stream-ordered allocation, which is freed in that stream's order. */
  constructor(core: DriverCore, address: bigint, bytes: number, stream?: Stream) {
    this.#core = core
    this.address = address
    this.bytes = bytes
    this.#stream = stream
    core.live.device += 1
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    const stream = this.#stream
    if (stream) this.#core.release('device', 'freeAsync', (calls) => calls.freeAsync!(this.address, stream.handle))
    else this.#core.release('device', 'free', (calls) => calls.free(this.address))
  }
}

/** Page-locked host memory, which a device copies to and from without a detour. */
export class PinnedBuffer implements Disposable {
  readonly address: bigint
  readonly bytes: number
  /** the memory itself; must not be used after dispose */
  readonly view: Uint8Array<ArrayBuffer>
  readonly #core: DriverCore
  #open = true

  constructor(core: DriverCore, address: bigint, bytes: number) {
    this.#core = core
    this.address = address
    this.bytes = bytes
    this.view = new Uint8Array(viewMemory(address, bytes))
    core.live.pinned += 1
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#core.release('pinned', 'hostFree', (calls) => calls.hostFree(this.address))
  }
}

/** Runs one of the allocating calls; failure names the size asked and what is free. */
export function allocate(core: DriverCore, call: CallName, bytes: number, run: () => number): bigint {
  core.use()
  core.check(run(), call, () => [
    ['asked', gib(bytes)],
    ['free', describeFree(core)],
  ])
  return core.out[0]!
}

function describeFree(core: DriverCore): string {
  if (core.calls.memoryInfo(core.out, core.out2) !== 0) return 'unknown'
  return `${gib(Number(core.out[0]))} of ${gib(Number(core.out2[0]))}`
}
