// The order in which weights are read: a list of reads, each of one stretch of a file, that together cover every weight
// once. Large weights are cut so that several threads read them; small neighbours share a read; files are read forwards.
import { rowBytes, type TensorType } from '../../ir/type.ts'
import type { WeightLayout } from '../../ir/weight-layout.ts'
import type { Stream } from '../platform/stream.ts'

/** A file, read in any order and by several readers at once; a failure is a Diagnostic that names the file. */
export interface WeightFile {
  readonly path: string
  /** fills `into` from byte `position` on */
  read(into: Uint8Array, position: number): Promise<void>
}

/** Where weights come from. */
export interface WeightSource {
  /** fills `into` with the bytes of a weight from `offset` on, as its type lays them out */
  read(name: string, type: TensorType, into: Uint8Array, offset: number): Promise<void> | void
  /** Where those very bytes lie in a file, from byte `offset` of it on; undefined when they are computed. */
  locate?(name: string, type: TensorType): { readonly file: WeightFile; readonly offset: number } | undefined
  /**
   * Makes the bytes of a weight from `offset` on in device memory by itself, in the order of `stream`: those that `read`
   * would give. False for every part of a weight that has to be read.
   */
  fill?(part: WeightPart, stream: Stream): boolean
}

/** Bytes of a weight on a device. */
interface WeightPart {
  readonly weight: string
  readonly type: TensorType
  /** of the first byte within the weight */
  readonly offset: number
  readonly bytes: number
  readonly address: bigint
}

/** A weight and where it goes. */
export interface WeightTarget {
  readonly weight: string
  readonly type: TensorType
  readonly bytes: number
  /** in device memory */
  readonly address: bigint
  readonly layout: WeightLayout
}

export interface WeightRead {
  readonly bytes: number
  /** whose bytes these are */
  readonly weights: readonly string[]
  /** what of the bytes read goes where; gaps between weights go nowhere */
  readonly pieces: readonly WeightPiece[]
  fill(into: Uint8Array): Promise<void> | void
}

interface WeightPiece {
  readonly from: number
  readonly bytes: number
  readonly to: bigint
  /** of weights that are kept in planes: the piece is whole rows of this type */
  readonly planes?: TensorType
}

export interface ReadSizes {
  /** most bytes of one read, unless a single row of a weight in planes is longer */
  readonly largest: number
  /** a weight from this size on has reads of its own */
  readonly alone: number
  /** what may lie between two weights that share a read, bytes */
  readonly gap: number
}

interface Placed extends WeightTarget {
  readonly file: WeightFile
  readonly offset: number
}

export function planReads(targets: readonly WeightTarget[], source: WeightSource, sizes: ReadSizes): WeightRead[] {
  const placed: Placed[] = []
  const computed: WeightRead[] = []
  for (const target of targets) {
    const place = source.locate?.(target.weight, target.type)
    if (place) placed.push({ ...target, ...place })
    else computed.push(...readsOf(target, sizes, (into, at) => source.read(target.weight, target.type, into, at)))
  }
  const byFile = new Map<WeightFile, Placed[]>()
  for (const weight of placed) {
    const others = byFile.get(weight.file)
    if (others) others.push(weight)
    else byFile.set(weight.file, [weight])
  }
  return [...computed, ...[...byFile.values()].flatMap((weights) => readsOfFile(weights, sizes))]
}

/** The most bytes of a weight that go together: in planes whole rows. */
export function partBytes({ type, layout }: Pick<WeightTarget, 'type' | 'layout'>, largest: number): number {
  if (layout === 'blocks') return largest
  const row = rowBytes(type.dtype, type.shape.at(-1) as number)
  return Math.max(1, Math.floor(largest / row)) * row
}

const pieceOf = ({ type, layout }: WeightTarget, from: number, bytes: number, to: bigint): WeightPiece =>
  layout === 'planes' ? { from, bytes, to, planes: type } : { from, bytes, to }

/** The reads of one weight alone. */
function readsOf(
  target: WeightTarget,
  sizes: ReadSizes,
  fill: (into: Uint8Array, at: number) => Promise<void> | void,
): WeightRead[] {
  const { weight, bytes, address } = target
  const largest = partBytes(target, sizes.largest)
  return Array.from({ length: Math.ceil(bytes / largest) }, (_, i) => {
    const at = i * largest
    const size = Math.min(largest, bytes - at)
    return {
      bytes: size,
      weights: [weight],
      pieces: [pieceOf(target, 0, size, address + BigInt(at))],
      fill: (into) => fill(into, at),
    }
  })
}

function readsOfFile(weights: Placed[], sizes: ReadSizes): WeightRead[] {
  const reads: WeightRead[] = []
  let together: Placed[] = []
  const close = (): void => {
    if (together.length) reads.push(readOf(together))
    together = []
  }
  for (const weight of weights.sort((a, b) => a.offset - b.offset)) {
    const { file, offset, bytes } = weight
    if (bytes >= sizes.alone || bytes > sizes.largest) {
      close()
      reads.push(...readsOf(weight, sizes, (into, at) => file.read(into, offset + at)))
      continue
    }
    const [first, last] = [together[0], together.at(-1)]
    if (first && last) {
      const gap = offset - (last.offset + last.bytes)
      if (gap < 0 || gap > sizes.gap || offset + bytes - first.offset > sizes.largest) close()
    }
    together.push(weight)
  }
  close()
  return reads
}

/** One read of neighbours, in the order of their places. */
function readOf(weights: readonly Placed[]): WeightRead {
  const { file, offset: start } = weights[0]!
  const last = weights.at(-1)!
  return {
    bytes: last.offset + last.bytes - start,
    weights: weights.map(({ weight }) => weight),
    pieces: weights.map((weight) => pieceOf(weight, weight.offset - start, weight.bytes, weight.address)),
    fill: (into) => file.read(into, start),
  }
}
