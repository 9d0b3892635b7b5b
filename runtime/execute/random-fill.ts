// Random weights, made on the device by hip-templates/memory/random_fill.hip, or here in the same bytes: for models whose
// size matters and whose values do not.
import type { Defines } from '../../codegen/kernel.ts'
import type { KernelSource } from '../../codegen/program.ts'
import { targetDefines } from '../../codegen/target-defines.ts'
import { invariant } from '../../ir/diagnostic.ts'
import { numberToBf16, numberToF16 } from '../../ir/half.ts'
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import type { Target } from '../../ir/target.ts'
import { type Dtype, type FloatType, isFloat, isQuant } from '../../ir/type.ts'
import type { KernelCompiler } from '../compile/kernel-compiler.ts'
import type { Driver, Kernel, Module, Stream } from '../platform/driver.ts'

const deviation = 0.02
/** of the sum of four random bytes */
const sumDeviation = Math.sqrt((4 * (256 ** 2 - 1)) / 12)
const step = Math.fround(deviation / sumDeviation)

/**
 * Where the f16 scales of a block lie (bytes), and what they are: normal f16 numbers which give values near the floats'
 * deviation. K formats have an integer scale of their own for each group, random too, and a minimum that centres the values.
 */
const scales: Readonly<Record<QuantType, { readonly at: number; readonly d: number; readonly min?: number }>> = {
  q8_0: { at: 0, d: 2 ** -12 },
  q4_0: { at: 0, d: 2 ** -8 },
  q4_1: { at: 0, d: 2 ** -8, min: -7.5 * 2 ** -8 },
  q5_0: { at: 0, d: 2 ** -9 },
  q5_1: { at: 0, d: 2 ** -9, min: -15.5 * 2 ** -9 },
  q4_k: { at: 0, d: 2 ** -13, min: 7.5 * 2 ** -13 },
  q5_k: { at: 0, d: 2 ** -14, min: 15.5 * 2 ** -14 },
  q6_k: { at: 208, d: 2 ** -14 },
}

/** Types that can be filled. */
export const canFill = (type: Dtype): type is FloatType | QuantType => isFloat(type) || isQuant(type)

interface Layout {
  readonly blockWords: number
  readonly scaleAt: number
  readonly scale: number
  readonly minimumAt: number
  readonly minimum: number
}

/** In 16-bit words; `blockWords` 0 for floats. */
function layoutOf(type: FloatType | QuantType): Layout {
  if (!isQuant(type)) return { blockWords: 0, scaleAt: 0, scale: 0, minimumAt: -1, minimum: 0 }
  const { at, d, min } = scales[type]
  return {
    blockWords: quantFormats[type].bytes / 2,
    scaleAt: at / 2,
    scale: numberToF16(d),
    minimumAt: min === undefined ? -1 : at / 2 + 1, // every minimum follows its scale
    minimum: min === undefined ? 0 : numberToF16(min),
  }
}

const elems: Readonly<Record<FloatType, string>> = { f32: 'f32_t', f16: 'f16_t', bf16: 'bf16_t' }

const blockOf = (target: Target): number =>
  target.platform !== 'host' ? 256 : target.mode === 'emulate' ? target.wave : 1

/** The kernel that fills weights of this type. */
export function randomFillSource(type: FloatType | QuantType, target: Target): KernelSource {
  const { blockWords, scaleAt, scale, minimumAt, minimum } = layoutOf(type)
  const defines: Defines = {
    ...targetDefines(target),
    P_BLOCK: blockOf(target),
    P_STEP: step,
    P_BLOCK_WORDS: blockWords,
    P_SCALE_AT: scaleAt,
    P_SCALE: scale,
    P_MINIMUM_AT: minimumAt,
    P_MINIMUM: minimum,
    ...(isFloat(type) ? { P_ELEM: elems[type] } : {}),
  }
  return { id: `random_fill ${type}`, template: 'memory/random_fill.hip', defines, entries: ['random_fill'] }
}

/** Fills weights on a device. */
export class RandomFill implements Disposable {
  readonly #driver: Driver
  readonly #target: Target
  readonly #modules: Module[] = []
  readonly #kernels = new Map<Dtype, Kernel>()

  private constructor(driver: Driver, target: Target) {
    this.#driver = driver
    this.#target = target
  }

  /** Compiles and loads what these types take. */
  static async create(
    device: { readonly driver: Driver; readonly target: Target; readonly compiler: KernelCompiler },
    types: Iterable<Dtype>,
    signal?: AbortSignal,
  ): Promise<RandomFill> {
    const { driver, target, compiler } = device
    const fill = new RandomFill(driver, target)
    const sources = new Map([...new Set(types)].filter(canFill).map((type) => [type, randomFillSource(type, target)]))
    const images = await compiler.compile([...sources.values()], target, signal)
    try {
      for (const [type, { id }] of sources) {
        const module = driver.during(`loading ${id}`, () => driver.loadModule(images.get(id)!))
        fill.#modules.push(module)
        fill.#kernels.set(type, module.kernel('random_fill'))
      }
    } catch (error) {
      fill[Symbol.dispose]()
      throw error
    }
    return fill
  }

  /**
   * `bytes` at `address` become those of a weight of this type from byte `offset` (even) on, in the order of the stream;
   * equal seeds give equal weights.
   */
  fill(type: Dtype, seed: number, address: bigint, bytes: number, stream: Stream, offset = 0): void {
    const kernel = this.#kernels.get(type)
    invariant(kernel, `random weights of ${type} were not prepared`)
    const words = bytes / 2
    const block = blockOf(this.#target)
    this.#driver
      .prepareLaunch({
        fn: kernel,
        grid: [Math.max(1, Math.min(Math.ceil(words / (8 * block)), 32 * this.#target.cus))],
        block: [block],
        args: [
          { kind: 'pointer', address },
          { kind: 'u64', value: offset / 2 },
          { kind: 'u64', value: words },
          { kind: 'u32', value: seed >>> 0 },
        ],
        label: `random weights of ${type}`,
      })
      .enqueue(stream)
  }

  [Symbol.dispose](): void {
    for (const module of this.#modules.splice(0)) module[Symbol.dispose]()
    this.#kernels.clear()
  }
}

/** Bytes of such a weight from `byteOffset` (even) on, computed here. */
export function randomBytes(type: Dtype, seed: number, into: Uint8Array, byteOffset = 0): void {
  invariant(canFill(type) && byteOffset % 2 === 0, `no random bytes of ${type} from ${byteOffset} on`)
  const { blockWords, scaleAt, scale, minimumAt, minimum } = layoutOf(type)
  const bits = new DataView(new ArrayBuffer(4))
  const wordOf = (index: number): number => {
    if (blockWords > 0) {
      const inBlock = index % blockWords
      return inBlock === scaleAt ? scale : inBlock === minimumAt ? minimum : randomBits(index, seed) & 0xffff
    }
    if (type === 'bf16') return numberToBf16(randomFloat(index, seed))
    if (type === 'f16') return numberToF16(randomFloat(index, seed))
    bits.setFloat32(0, randomFloat(Math.floor(index / 2), seed), true)
    return bits.getUint16((index % 2) * 2, true)
  }
  for (let i = 0; i < into.length; i++) {
    const at = byteOffset + i
    const word = wordOf(Math.floor(at / 2))
    into[i] = at % 2 === 0 ? word & 255 : word >> 8
  }
}

const randomFloat = (index: number, seed: number): number => {
  const r = randomBits(index, seed)
  return Math.fround(((r & 255) + ((r >>> 8) & 255) + ((r >>> 16) & 255) + (r >>> 24) - 510) * step)
}

function randomBits(index: number, seed: number): number {
  let x = ((index >>> 0) + Math.imul(Math.floor(index / 2 ** 32), 0x9e3779b9) + seed) | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}
