// One driver for all platforms: everything the runtime asks of a device goes through this class over a symbol table.
// Every status is checked; every handle is released with `using`; the launch path is in launch.ts.
import { availableMemory } from 'node:process'
import { fail, invariant } from '../../ir/diagnostic.ts'
import { type BoundCalls, bindCalls, type Calls, type PlatformName, type SymbolTable } from './calls.ts'
import { DriverCore, type HandleKind, status } from './core.ts'
import { openLibrary, viewMemory } from './ffi.ts'
import { type LaunchSpec, Module, PreparedLaunch } from './launch.ts'
import { allocate, DeviceBuffer, type MemoryInfo, PinnedBuffer } from './memory.ts'
import { amdProperties, type DeviceProperties, hostProperties, nvidiaProperties } from './properties.ts'
import { Stream, TimingEvent } from './stream.ts'
import { amdSymbols } from './symbols-amd.ts'
import { hostSymbols } from './symbols-host.ts'
import { nvidiaSymbols } from './symbols-nvidia.ts'

export type { KernelArg, LaunchSpec } from './launch.ts'
export { Kernel, Module, PreparedLaunch } from './launch.ts'
export { DeviceBuffer, PinnedBuffer } from './memory.ts'
export { Graph, Stream, TimingEvent } from './stream.ts'

export const symbolTables: Readonly<Record<PlatformName, SymbolTable>> = {
  amd: amdSymbols,
  nvidia: nvidiaSymbols,
  host: hostSymbols,
}

/** hipHostMallocMapped and CU_MEMHOSTALLOC_DEVICEMAP; hipHostMallocCoherent, whatever HIP_HOST_COHERENT says */
const [mapped, coherent] = [0x2, 0x40000000]

export interface DriverOptions {
  /** puts something between the driver and the library: fault injection in tests, a log */
  readonly wrapCalls?: (calls: Calls) => Calls
}

/** Bytes in JavaScript or an address in native memory. */
type HostMemory = NodeJS.TypedArray | bigint

const bytesOf = (memory: NodeJS.TypedArray): Uint8Array =>
  new Uint8Array(memory.buffer, memory.byteOffset, memory.byteLength)

/** What opens the same device again, in another process too. */
export interface DriverOrigin {
  readonly platform: PlatformName
  /** of the runtime library */
  readonly path: string
  readonly ordinal: number
}

export class Driver implements Disposable {
  readonly platform: PlatformName
  readonly origin: DriverOrigin
  readonly properties: DeviceProperties
  readonly #core: DriverCore
  readonly #device: number

  /** Opens device `ordinal` through the runtime library at `path`. Use `openDriver` of devices.ts to find one. */
  constructor(platform: PlatformName, path: string, ordinal: number, options: DriverOptions = {}) {
    const library = bindCalls(openLibrary(path), symbolTables[platform])
    const bound: BoundCalls = options.wrapCalls ? { ...library, calls: options.wrapCalls(library.calls) } : library
    const { calls } = bound
    const start = new DriverCore(platform, bound, `${platform}:${ordinal}`, 0n)
    const code = calls.init(0)
    if (code === status.noDevice || code === status.invalidDevice) noDevice(platform, path)
    start.check(code, 'init')
    this.platform = platform
    this.origin = { platform, path, ordinal }
    this.properties =
      platform === 'host'
        ? hostProperties(hostThreads(start))
        : (platform === 'amd' ? amdProperties : nvidiaProperties)(calls, ordinal, (code, call) =>
            start.check(code, call),
          )
    start.check(calls.deviceGet(start.int, ordinal), 'deviceGet')
    this.#device = start.int[0]!
    start.check(calls.retainContext(start.out, this.#device), 'retainContext')
    this.#core = new DriverCore(platform, bound, `${this.properties.name} (${platform}:${ordinal})`, start.out[0]!)
    this.#core.use()
  }

  /** Versions as the runtime gives them: HIP 60443484 = 6.4.43484; CUDA 13000 = 13.0. */
  get version(): { readonly driver: number; readonly runtime: number } {
    const core = this.#core
    core.check(core.calls.driverVersion(core.int), 'driverVersion')
    const driver = core.int[0]!
    core.check(core.calls.runtimeVersion(core.int), 'runtimeVersion')
    return { driver, runtime: core.int[0]! }
  }

  /** Device and pinned allocations that are alive. */
  get liveAllocations(): number {
    return this.#core.live.device + this.#core.live.pinned
  }

  /** Live handles by kind, for leak checks. */
  get live(): Readonly<Record<HandleKind, number>> {
    return this.#core.live
  }

  /** Can streams be captured as graphs? */
  get supportsGraphs(): boolean {
    const { captureBegin, captureEnd, graphInstantiate, graphLaunch, graphExecDestroy, graphDestroy } = this.#core.calls
    return !!(captureBegin && captureEnd && graphInstantiate && graphLaunch && graphExecDestroy && graphDestroy)
  }

  /** Is device memory ordinary memory of this process? Then `viewOf` saves a copy. */
  get sharesHostMemory(): boolean {
    return this.platform === 'host'
  }

  /** Names the operation that errors of the calls inside `run` report. Launches carry their own label. */
  during<T>(label: string, run: () => T): T {
    const before = this.#core.operation
    this.#core.operation = label
    try {
      return run()
    } finally {
      this.#core.operation = before
    }
  }

  // --- memory -------------------------------------------------------------------------------------------------

  /** Device memory, aligned to at least 256 bytes on a GPU and 64 on the host; not cleared. */
  alloc(bytes: number): DeviceBuffer {
    const core = this.#core
    const size = Math.max(1, bytes)
    return new DeviceBuffer(
      core,
      allocate(core, 'alloc', size, () => core.calls.alloc(core.out, size)),
      bytes,
    )
  }

  /** Stream-ordered device memory where the platform has it, plain memory elsewhere. */
  allocAsync(bytes: number, stream: Stream): DeviceBuffer {
    const core = this.#core
    const { allocAsync, freeAsync } = core.calls
    if (!allocAsync || !freeAsync) return this.alloc(bytes)
    const size = Math.max(1, bytes)
    const address = allocate(core, 'allocAsync', size, () => allocAsync(core.out, size, stream.handle))
    return new DeviceBuffer(core, address, bytes, stream)
  }

  /** Page-locked host memory. */
  allocPinned(bytes: number): PinnedBuffer {
    const core = this.#core
    const size = Math.max(1, bytes)
    return new PinnedBuffer(
      core,
      allocate(core, 'hostAlloc', size, () => core.calls.hostAlloc(core.out, size, 0)),
      bytes,
    )
  }

  /**
   * Page-locked host memory that kernels read and write at the same address, without a cache of either side between: what a
   * kernel stores is seen while it runs. undefined where the platform has none.
   */
  allocShared(bytes: number): PinnedBuffer | undefined {
    const core = this.#core
    if (this.platform === 'host') return this.allocPinned(bytes)
    const { hostDeviceAddress } = core.calls
    if (!hostDeviceAddress) return undefined
    const size = Math.max(1, bytes)
    const flags = this.platform === 'amd' ? mapped | coherent : mapped
    const address = allocate(core, 'hostAlloc', size, () => core.calls.hostAlloc(core.out, size, flags))
    const memory = new PinnedBuffer(core, address, bytes)
    if (hostDeviceAddress(core.out, address, 0) === 0 && core.out[0] === address) return memory
    memory[Symbol.dispose]()
    return undefined
  }

  /** Free and total device memory now, in bytes. */
  memoryInfo(): MemoryInfo {
    const core = this.#core
    if (this.platform === 'host') return { freeBytes: availableMemory(), totalBytes: this.properties.memoryBytes }
    core.use()
    core.check(core.calls.memoryInfo(core.out, core.out2), 'memoryInfo')
    return { freeBytes: Number(core.out[0]), totalBytes: Number(core.out2[0]) }
  }

  /** Device memory as bytes, without a copy; only where `sharesHostMemory`, and only while the buffer lives. */
  viewOf(address: bigint, bytes: number): Uint8Array<ArrayBuffer> {
    invariant(this.sharesHostMemory, 'viewOf asked of a device with memory of its own')
    return new Uint8Array(viewMemory(address, bytes))
  }

  /**
   * Copies to the device. Without a stream the bytes have arrived on return; with one, `from` must stay unchanged
   * and referenced until the stream gets there (pinned memory; a GPU may wait for unpinned memory all the same).
   */
  copyToDevice(to: bigint, from: HostMemory, bytes = sizeOf(from), stream?: Stream): void {
    if (bytes === 0) return
    const core = this.#core
    const source = typeof from === 'bigint' ? from : bytesOf(from)
    core.use()
    if (stream) {
      core.check(core.calls.copyToDeviceAsync(to, source, bytes, stream.handle), 'copyToDeviceAsync', sized(bytes))
    } else core.check(core.calls.copyToDevice(to, source, bytes), 'copyToDevice', sized(bytes))
  }

  /** Copies from the device; with a stream, `to` (pinned) holds the bytes once the stream got there. */
  copyToHost(to: HostMemory, from: bigint, bytes = sizeOf(to), stream?: Stream): void {
    if (bytes === 0) return
    const core = this.#core
    const target = typeof to === 'bigint' ? to : bytesOf(to)
    core.use()
    if (stream) {
      core.check(core.calls.copyToHostAsync(target, from, bytes, stream.handle), 'copyToHostAsync', sized(bytes))
    } else core.check(core.calls.copyToHost(target, from, bytes), 'copyToHost', sized(bytes))
  }

  /** Copies within the device. */
  copyOnDevice(to: bigint, from: bigint, bytes: number, stream?: Stream): void {
    if (bytes === 0) return
    const core = this.#core
    core.use()
    if (stream) {
      core.check(core.calls.copyOnDeviceAsync(to, from, bytes, stream.handle), 'copyOnDeviceAsync', sized(bytes))
    } else core.check(core.calls.copyOnDevice(to, from, bytes), 'copyOnDevice', sized(bytes))
  }

  /** Sets every byte. */
  fill(to: bigint, byte: number, bytes: number, stream?: Stream): void {
    if (bytes === 0) return
    const core = this.#core
    core.use()
    if (stream) core.check(core.calls.fill8Async(to, byte & 255, bytes, stream.handle), 'fill8Async', sized(bytes))
    else core.check(core.calls.fill8(to, byte & 255, bytes), 'fill8', sized(bytes))
  }

  /** Sets every 32-bit word; `to` is 4-byte aligned. */
  fill32(to: bigint, word: number, words: number, stream?: Stream): void {
    if (words === 0) return
    const core = this.#core
    core.use()
    if (stream) core.check(core.calls.fill32Async(to, word | 0, words, stream.handle), 'fill32Async', sized(words * 4))
    else core.check(core.calls.fill32(to, word | 0, words), 'fill32', sized(words * 4))
  }

  // --- code ---------------------------------------------------------------------------------------------------

  /** Loads code: a code object (amd), a cubin or NUL-terminated PTX (nvidia), an image of the host compiler (host). */
  loadModule(image: Uint8Array): Module {
    const core = this.#core
    core.use()
    core.check(core.calls.moduleLoad(core.out, image), 'moduleLoad', sized(image.byteLength))
    return new Module(core, core.out[0]!, image)
  }

  /** Packs a launch once; `enqueue` it as often as wanted. */
  prepareLaunch(spec: LaunchSpec): PreparedLaunch {
    return new PreparedLaunch(this.#core, spec)
  }

  // --- order --------------------------------------------------------------------------------------------------

  createStream(): Stream {
    return new Stream(this.#core)
  }

  createEvent(options: { timing?: boolean } = {}): TimingEvent {
    return new TimingEvent(this.#core, options)
  }

  /** Blocks until the whole device is idle. */
  synchronize(): void {
    this.#core.use()
    this.#core.check(this.#core.calls.deviceSynchronize(), 'deviceSynchronize')
  }

  /** Gives the device's context back. Handles still alive may be disposed afterwards; they do nothing. */
  [Symbol.dispose](): void {
    const core = this.#core
    if (core.closed) return
    core.close()
    const code = core.calls.releaseContext(this.#device)
    if (code !== 0 && !core.broken) core.failed(code, 'releaseContext', [])
  }
}

function hostThreads(core: DriverCore): number {
  const multiprocessorCount = 63
  core.check(core.calls.attribute(core.int, multiprocessorCount, 0), 'attribute')
  return core.int[0]!
}

/** HIP 5.2 says `invalid device` where later releases say `no device`. */
function noDevice(platform: PlatformName, library: string): never {
  return fail({
    code: 'no-device',
    message: `no ${platform === 'amd' ? 'AMD' : 'NVIDIA'} GPU is visible to this process`,
    facts: [['library', library]],
    help: 'rocmforge doctor says what is missing; --device host runs on the CPU',
  })
}

const sizeOf = (memory: HostMemory): number => {
  invariant(typeof memory !== 'bigint', 'a copy from an address names its size')
  return memory.byteLength
}

const sized = (bytes: number) => () => [['size', `${bytes} bytes`] as const]
