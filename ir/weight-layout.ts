// How quantised weights lie in the memory of a target. Files have rows of blocks. Where a block is no multiple of 16 bytes a
// GPU's lanes would meet no aligned load in it, so there a row is kept in planes: each field of its blocks together, the
// widest field first. A row has the same bytes in both, so rows stack, and sizes and offsets never change.
// KV caches and other states stay in blocks.
import { type QuantType, quantFormats } from './quant.ts'
import type { Target } from './target.ts'
import { bindShape, type TensorType } from './type.ts'

export type WeightLayout = 'blocks' | 'planes'

/** A field of a block: `bytes` of it from byte `at` on. */
interface BlockField {
  readonly at: number
  readonly bytes: number
}

/**
 * Fields in the order of their planes. The k formats of 144 and 176 bytes have none: their blocks are aligned as they are.
 * The same table in C++: `fields` of the formats in hip-templates/prelude/quant.h.
 */
export const planes = {
  q8_0: [field(2, 32), field(0, 2)],
  q4_0: [field(2, 16), field(0, 2)],
  q4_1: [field(4, 16), field(0, 4)],
  q5_0: [field(6, 16), field(2, 4), field(0, 2)],
  q5_1: [field(8, 16), field(4, 4), field(0, 4)],
  q6_k: [field(0, 128), field(128, 64), field(192, 16), field(208, 2)],
} as const satisfies Partial<Record<QuantType, readonly BlockField[]>>

export type PlanarType = keyof typeof planes

function field(at: number, bytes: number): BlockField {
  return { at, bytes }
}

const isPlanar = (dtype: string): dtype is PlanarType => Object.hasOwn(planes, dtype)

/** The layout of a value on a target: of GPUs and emulated ones; the host's SIMD kernels read blocks. */
export function weightLayout({ dtype, state }: Pick<TensorType, 'dtype' | 'state'>, target: Target): WeightLayout {
  const hasLanes = target.platform !== 'host' || target.mode === 'emulate'
  return hasLanes && !state && isPlanar(dtype) ? 'planes' : 'blocks'
}

/** Rows of blocks, as files have them, in the order of a layout. */
export const fromBlocks = (type: TensorType, layout: WeightLayout, bytes: Uint8Array): Uint8Array =>
  layout === 'planes' ? reordered(type, bytes, (to, from) => [to, from]) : bytes

/** Bytes in the order of a layout, as rows of blocks. */
export const toBlocks = (type: TensorType, layout: WeightLayout, bytes: Uint8Array): Uint8Array =>
  layout === 'planes' ? reordered(type, bytes, (to, from) => [from, to]) : bytes

/** A copy of whole rows; `order` gives the new and the old place of bytes that are at `planar` and at `inBlock`. */
function reordered(
  { dtype, shape }: TensorType,
  bytes: Uint8Array,
  order: (planar: number, inBlock: number) => readonly [to: number, from: number],
): Uint8Array {
  const { block, bytes: blockBytes } = quantFormats[dtype as PlanarType]
  const blocks = bindShape(shape.slice(-1), {})[0]! / block
  const out = new Uint8Array(bytes.length)
  for (let row = 0; row < bytes.length; row += blocks * blockBytes) {
    let plane = row
    for (const { at, bytes: size } of planes[dtype as PlanarType]) {
      for (let i = 0; i < blocks; i++) {
        const [to, from] = order(plane + i * size, row + i * blockBytes + at)
        for (let byte = 0; byte < size; byte++) out[to + byte] = bytes[from + byte]!
      }
      plane += blocks * size
    }
  }
  return out
}
