// The one way in which weights get into planes on a device: rows of blocks are put into memory of this stage, by a copy or
// by a kernel that makes them up, and hip-templates/memory/to_planes.hip moves them to their place in the new order.
import type { Program } from '../../codegen/program.ts'
import { toPlanesBlock } from '../../codegen/weight-source.ts'
import { invariant } from '../../ir/diagnostic.ts'
import { quantFormats } from '../../ir/quant.ts'
import { isQuant, rowBytes, type TensorType } from '../../ir/type.ts'
import type { DeviceBuffer, Driver, Kernel, Stream } from '../platform/driver.ts'

/** Gives the compiled kernel of a source that a program's `conversions` name. */
export type ConversionKernel = (source: string, entry: string) => Kernel

/** Device memory where rows of blocks wait to become planes. One for all: copies and kernels of a stream take turns. */
export class PlanesStage implements Disposable {
  readonly #driver: Driver
  readonly #stream: Stream
  readonly #target: Program['target']
  readonly #kernel: ConversionKernel
  readonly #memory: DeviceBuffer

  constructor(
    driver: Driver,
    stream: Stream,
    { target, kernel, bytes }: { target: Program['target']; kernel: ConversionKernel; bytes: number },
  ) {
    this.#driver = driver
    this.#stream = stream
    this.#target = target
    this.#kernel = kernel
    this.#memory = driver.during('staging of weights for planes', () => driver.alloc(bytes))
  }

  /** Where blocks are to be put, in the order of the stream. */
  get address(): bigint {
    return this.#memory.address
  }

  /** What was put there, whole rows of a weight of this type, goes to `to` in planes. */
  convert({ dtype, shape }: TensorType, bytes: number, to: bigint): void {
    const K = shape.at(-1) as number
    invariant(isQuant(dtype) && bytes % rowBytes(dtype, K) === 0, `${bytes} bytes of ${dtype} are no whole rows`)
    invariant(bytes <= this.#memory.bytes, `${bytes} bytes are more than were asked for`)
    const block = toPlanesBlock(this.#target)
    const words = bytes / 2
    this.#driver
      .prepareLaunch({
        fn: this.#kernel(`to_planes ${dtype}`, 'to_planes'),
        grid: [Math.max(1, Math.min(Math.ceil(words / (4 * block)), 16 * this.#target.cus))],
        block: [block],
        args: [
          { kind: 'pointer', address: to },
          { kind: 'pointer', address: this.#memory.address },
          { kind: 'u32', value: K / quantFormats[dtype].block },
          { kind: 'u32', value: words },
        ],
        label: `planes of ${dtype}`,
      })
      .enqueue(this.#stream)
  }

  [Symbol.dispose](): void {
    this.#stream.synchronize() // kernels may still read the memory
    this.#memory[Symbol.dispose]()
  }
}
