// Modules, their kernels, and launches that are packed once and enqueued many times: a launch is one call across the
// border, with nothing allocated.
import { fail, invariant } from '../../ir/diagnostic.ts'
import { type DriverCore, type Labelled, status } from './core.ts'
import { addressOf } from './ffi.ts'
import type { Stream } from './stream.ts'

/** A kernel argument: a device address, or a scalar with its C type. */
export type KernelArg =
  | { readonly kind: 'pointer'; readonly address: bigint }
  | { readonly kind: 'i32' | 'u32' | 'f32'; readonly value: number }
  | { readonly kind: 'u64'; readonly value: bigint | number }

export interface LaunchSpec {
  readonly fn: Kernel
  /** blocks in x, y, z; missing ones are 1 */
  readonly grid: readonly number[]
  /** threads of a block in x, y, z; missing ones are 1 */
  readonly block: readonly number[]
  /** dynamic LDS, beyond what the kernel declares itself */
  readonly ldsBytes?: number
  readonly args: readonly KernelArg[]
  /** blocks wait for each other: the runtime checks, where it can, that all are resident at once */
  readonly cooperative?: boolean
  /** the kernel waits itself for what is ahead of it: it may start before, where the runtime can do that */
  readonly early?: boolean
  /** the operation, as errors name it: `%12 (blk.0.attn_norm) rms_norm` */
  readonly label: string
}

/** Loaded code: a code object (amd), cubin or PTX text (nvidia), or shared object (host). */
export class Module implements Disposable {
  readonly #core: DriverCore
  readonly #handle: bigint
  readonly #image: Uint8Array // kept: a runtime may read it until unload
  #open = true

  constructor(core: DriverCore, handle: bigint, image: Uint8Array) {
    this.#core = core
    this.#handle = handle
    this.#image = image
    core.live.module += 1
  }

  /** bytes of the image this module was loaded from */
  get imageBytes(): number {
    return this.#image.byteLength
  }

  /** The kernel of this name; it lives as long as the module. */
  kernel(name: string): Kernel {
    const core = this.#core
    core.use()
    core.check(core.calls.moduleFunction(core.out, this.#handle, name), 'moduleFunction', () => [['kernel', name]])
    return new Kernel(core, core.out[0]!, name)
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#core.release('module', 'moduleUnload', (calls) => calls.moduleUnload(this.#handle))
  }
}

/** What the runtime says of a loaded kernel. */
interface KernelAttributes {
  readonly maxThreadsPerBlock: number
  readonly staticLdsBytes: number
  readonly scratchBytesPerThread: number
  readonly registers: number
}

const attribute = { maxThreads: 0, staticLds: 1, scratch: 3, registers: 4, maxDynamicLds: 8 } as const

/** CUDA's limit without opting in, less what a kernel may have of static LDS */
const ldsWithoutOptIn = 40 * 1024

export class Kernel {
  readonly name: string
  readonly handle: bigint
  readonly #core: DriverCore
  #ldsAllowed = ldsWithoutOptIn

  constructor(core: DriverCore, handle: bigint, name: string) {
    this.#core = core
    this.handle = handle
    this.name = name
  }

  /** undefined where the platform does not say */
  get attributes(): KernelAttributes | undefined {
    const core = this.#core
    const { functionAttribute } = core.calls
    if (!functionAttribute) return undefined
    core.use()
    const read = (id: number): number => {
      core.check(functionAttribute(core.int, id, this.handle), 'functionAttribute', () => [['kernel', this.name]])
      return core.int[0]!
    }
    return {
      maxThreadsPerBlock: read(attribute.maxThreads),
      staticLdsBytes: read(attribute.staticLds),
      scratchBytesPerThread: read(attribute.scratch),
      registers: read(attribute.registers),
    }
  }

  /** Blocks of `threads` threads that are resident at once on one compute unit, or undefined where unknown. */
  maxBlocksPerUnit(threads: number, dynamicLdsBytes: number): number | undefined {
    const core = this.#core
    if (!core.calls.occupancy) return undefined
    this.allowLds(dynamicLdsBytes)
    core.use()
    core.check(core.calls.occupancy(core.int, this.handle, threads, dynamicLdsBytes), 'occupancy')
    return core.int[0]!
  }

  /** Opts in to dynamic LDS beyond the default limit, where the platform wants that. */
  allowLds(bytes: number, by?: Labelled): void {
    const { setFunctionAttribute } = this.#core.calls
    if (!setFunctionAttribute || bytes <= this.#ldsAllowed) return
    this.#core.use()
    const facts = () => [['kernel', this.name] as const, ['LDS', `${bytes} bytes`] as const]
    const code = setFunctionAttribute(this.handle, attribute.maxDynamicLds, bytes)
    this.#core.check(code, 'setFunctionAttribute', facts, by)
    this.#ldsAllowed = bytes
  }
}

/**
 * A launch with its arguments packed in native memory. The runtime copies the arguments when it enqueues, so they may
 * be changed again at once. Enqueueing checks the status and allocates nothing.
 */
export class PreparedLaunch {
  readonly label: string
  readonly kernel: Kernel
  readonly #core: DriverCore
  readonly #fn: bigint
  readonly #kinds: readonly KernelArg['kind'][]
  // one 8-byte slot an argument, then the array of pointers to them (`kernelParams`)
  readonly #memory: ArrayBuffer
  readonly #u64: BigUint64Array
  readonly #i32: Int32Array
  readonly #u32: Uint32Array
  readonly #f32: Float32Array
  readonly #params: bigint
  readonly #ldsBytes: number
  readonly #cooperative: boolean
  readonly #early: boolean
  readonly #block: readonly [number, number, number]
  #gridX: number
  #gridY: number
  #gridZ: number

  constructor(core: DriverCore, spec: LaunchSpec) {
    const { fn, grid, block, ldsBytes = 0, args, cooperative = false, early = false, label } = spec
    this.#core = core
    this.kernel = fn
    this.label = label
    this.#fn = fn.handle
    this.#ldsBytes = ldsBytes
    this.#cooperative = cooperative
    this.#early = early
    this.#block = [block[0] ?? 1, block[1] ?? 1, block[2] ?? 1]
    this.#gridX = grid[0] ?? 1
    this.#gridY = grid[1] ?? 1
    this.#gridZ = grid[2] ?? 1
    this.#kinds = args.map((arg) => arg.kind)
    this.#memory = new ArrayBuffer(Math.max(16, args.length * 16))
    this.#u64 = new BigUint64Array(this.#memory)
    this.#i32 = new Int32Array(this.#memory)
    this.#u32 = new Uint32Array(this.#memory)
    this.#f32 = new Float32Array(this.#memory)
    const base = addressOf(this.#u64)
    this.#params = base + BigInt(args.length * 8)
    for (const [i, arg] of args.entries()) {
      this.#u64[args.length + i] = base + BigInt(i * 8)
      this.setArg(i, arg.kind === 'pointer' ? arg.address : arg.value)
    }
    fn.allowLds(ldsBytes, this)
  }

  /** Replaces one argument's value; its kind stays. */
  setArg(index: number, value: number | bigint): void {
    switch (this.#kinds[index]) {
      case 'pointer':
      case 'u64':
        this.#u64[index] = typeof value === 'bigint' ? value : BigInt(value)
        break
      case 'i32':
        if (Number(value) !== (Number(value) | 0)) this.#tooMany(value)
        this.#i32[index * 2] = Number(value)
        break
      case 'u32':
        this.#u32[index * 2] = value as number
        break
      case 'f32':
        this.#f32[index * 2] = value as number
        break
      default:
        invariant(false, `${this.label} has ${this.#kinds.length} arguments, none at ${index}`)
    }
  }

  /** Stored all the same, the number would wrap, and the kernel leave out what it does not see. */
  #tooMany(value: number | bigint): never {
    fail({
      code: 'too-many-elements',
      message: `${this.label} would run over ${value} elements at once, kernels count up to ${2 ** 31 - 1}`,
      help: 'process fewer tokens in a step, or choose a shorter context',
    })
  }

  setGrid(x: number, y = 1, z = 1): void {
    this.#gridX = x
    this.#gridY = y
    this.#gridZ = z
  }

  get grid(): readonly [number, number, number] {
    return [this.#gridX, this.#gridY, this.#gridZ]
  }

  /** Enqueues the kernel on a stream; an empty grid is no work. */
  enqueue(stream: Stream): void {
    if (this.#gridX === 0) return // HIP 7 calls it an error, earlier releases do not
    const core = this.#core
    core.use()
    core.lastLaunch = this
    const block = this.#block
    const { launch, launchCooperative, launchEarly } = core.calls
    const [x, y, z] = [this.#gridX, this.#gridY, this.#gridZ]
    const special = (this.#cooperative && launchCooperative) || (this.#early && launchEarly)
    const code = special
      ? special(this.#fn, x, y, z, block[0], block[1], block[2], this.#ldsBytes, stream.handle, this.#params)
      : launch(this.#fn, x, y, z, block[0], block[1], block[2], this.#ldsBytes, stream.handle, this.#params, null)
    if (code !== status.success) this.#failed(code)
  }

  #failed(code: number): never {
    const lds = this.#ldsBytes > 0 ? `, ${this.#ldsBytes} bytes of LDS` : ''
    const shape = `grid ${this.grid.join('×')}, block ${this.#block.join('×')}${lds}`
    return this.#core.failed(
      code,
      'launch',
      [
        ['kernel', this.kernel.name],
        ['launch', shape],
      ],
      this,
    )
  }
}
