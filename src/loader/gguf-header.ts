// Reads what stands before the weights in a GGUF file, version 2 or 3: metadata, and name, type, shape and place of
// every tensor. Checks every rule of the format that a reader could fall over, in the order in which the file states
// things: magic, byte order, version, counts, keys, types, lengths, alignment, dims, row lengths, places.
import { fail } from '../../ir/diagnostic.ts'
import { quantFormats } from '../../ir/quant.ts'
import { type Dtype, isQuant, rowBytes } from '../../ir/type.ts'
import { foreignTensorTypes, tensorDtypes } from './gguf-types.ts'
import { type GgufValue, readGgufValue, refuseGguf } from './gguf-values.ts'
import { type HeaderReader, headerReader } from './header-reader.ts'
import type { SourceFile } from './source-file.ts'

/** No real file comes near these; a file beyond one of them is damaged or made to hurt. */
const limits = {
  keys: 100_000,
  keyBytes: 65_535,
  tensors: 1_000_000,
  tensorNameBytes: 256,
  dims: 4,
  alignment: 1 << 20,
} as const

interface GgufTensor {
  readonly name: string
  readonly dtype: Dtype
  /** row-major: the reverse of the file's order */
  readonly shape: readonly number[]
  /** byte in the file */
  readonly offset: number
  readonly bytes: number
}

export interface GgufHeader {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: readonly GgufTensor[]
}

const code = 'bad-gguf'
const magic = 0x46554747 // "GGUF", little-endian

export function readGgufHeader(file: SourceFile): GgufHeader {
  const reader = headerReader(file, code)
  const version = readVersion(reader, file)
  reader.at = 'counts'
  const tensorCount = boundedCount(reader, file, 'number of tensors', limits.tensors, 24)
  const keyCount = boundedCount(reader, file, 'number of metadata keys', limits.keys, 13)

  const metadata = new Map<string, GgufValue>()
  for (let n = 1; n <= keyCount; n++) {
    reader.at = `metadata key ${n} of ${keyCount}`
    const key = name(reader, file, 'a key', limits.keyBytes)
    if (metadata.has(key)) refuseGguf(file, 'a metadata key occurs twice', ['key', key])
    reader.at = `metadata key ${n} of ${keyCount}, ${key}`
    metadata.set(key, readGgufValue(reader, file, key))
  }
  const alignment = readAlignment(metadata, file)

  const seen = new Set<string>()
  const placed: { name: string; dtype: Dtype; shape: number[]; place: number; bytes: number }[] = []
  let end = 0 // where the next tensor must start, from the start of the data
  for (let n = 1; n <= tensorCount; n++) {
    reader.at = `tensor ${n} of ${tensorCount}`
    const tensor = readTensor(reader, file)
    if (seen.has(tensor.name)) refuseGguf(file, 'a tensor occurs twice', ['tensor', tensor.name])
    seen.add(tensor.name)
    if (tensor.place !== end) {
      refuseGguf(
        file,
        'a tensor does not start where the one before it ends',
        ['tensor', tensor.name],
        ['expected', `offset ${end}`],
        ['got', `offset ${tensor.place}`],
      )
    }
    end = roundUp(end + tensor.bytes, alignment)
    placed.push(tensor)
  }
  const dataStart = roundUp(reader.position, alignment)
  const tensors = placed.map(({ place, ...tensor }) => {
    const offset = dataStart + place
    if (offset + tensor.bytes > file.size) {
      fail({
        code: 'truncated-file',
        message: 'the file ends before the data of a tensor does',
        facts: [
          ['file', file.path],
          ['tensor', tensor.name],
          ['expected', `at least ${offset + tensor.bytes} bytes`],
          ['got', `${file.size} bytes`],
        ],
        help: 'download or copy the file again and compare its size with the source',
      })
    }
    return { ...tensor, offset }
  })
  return { version, metadata, tensors }
}

function readVersion(reader: HeaderReader, file: SourceFile): number {
  reader.at = 'magic number and version'
  const found = reader.u32()
  const version = reader.u32()
  if (found !== magic) refuseGguf(file, 'this is not a GGUF file', ['expected', 'magic GGUF'], ['got', hex(found)])
  if (version === 2 || version === 3) return version
  if (version !== 0 && (version & 0xffff) === 0) {
    refuseGguf(
      file,
      'the file has the byte order of a big-endian machine',
      ['expected', 'a little-endian file'],
      ['got', `version ${hex(version)}`],
    )
  }
  return fail({
    code,
    message: 'this version of GGUF is not supported',
    facts: [
      ['file', file.path],
      ['expected', 'version 2 or 3'],
      ['got', `version ${version}`],
    ],
    help: version < 2 ? 'convert the model again with a tool of today' : 'a newer release of this program may read it',
  })
}

/** A count of things that take at least `least` bytes each in the file. */
function boundedCount(reader: HeaderReader, file: SourceFile, what: string, most: number, least: number): number {
  const count = reader.count(what)
  if (count > most)
    refuseGguf(file, `the ${what} is beyond any model`, ['expected', `at most ${most}`], ['got', `${count}`])
  reader.require(count * least, `${count} (${what})`)
  return count
}

function name(reader: HeaderReader, file: SourceFile, what: string, most: number): string {
  const length = reader.count(`the length of ${what}`)
  if (length === 0 || length > most) {
    refuseGguf(
      file,
      'a name has an impossible length',
      ['at', reader.at],
      ['expected', `1 to ${most} bytes`],
      ['got', `${length} bytes`],
    )
  }
  return reader.text(length, what)
}

function readAlignment(metadata: ReadonlyMap<string, GgufValue>, file: SourceFile): number {
  const key = 'general.alignment'
  const found = metadata.get(key)
  if (!found) return 32
  const { type, value: alignment } = found
  if (type !== 'u32')
    return refuseGguf(file, 'the alignment has the wrong type', ['key', key], ['expected', 'u32'], ['got', type])
  const whole = alignment as number
  if (whole < 1 || whole > limits.alignment || (whole & (whole - 1)) !== 0) {
    refuseGguf(
      file,
      'the alignment is impossible',
      ['key', key],
      ['expected', `a power of two up to ${limits.alignment}`],
      ['got', `${whole}`],
    )
  }
  return whole
}

function readTensor(reader: HeaderReader, file: SourceFile) {
  const tensor = name(reader, file, 'a tensor name', limits.tensorNameBytes)
  reader.at += `, ${tensor}`
  const rank = reader.u32()
  if (rank > limits.dims)
    refuseGguf(
      file,
      'a tensor has too many dims',
      ['tensor', tensor],
      ['expected', `at most ${limits.dims}`],
      ['got', `${rank}`],
    )
  const shape: number[] = []
  for (let i = 0; i < rank; i++) shape.unshift(reader.count('a dim'))
  const id = reader.u32()
  const dtype = tensorDtypes.get(id)
  if (!dtype) {
    return fail({
      code: 'unsupported-tensor-type',
      message: 'a tensor has a type that is not supported',
      facts: [
        ['file', file.path],
        ['tensor', tensor],
        ['expected', [...tensorDtypes.values()].map((type) => (isQuant(type) ? type.toUpperCase() : type)).join(', ')],
        ['got', foreignTensorTypes[id] ?? `unknown type ${id}`],
      ],
      help: 'use a file of the same model in one of these types',
    })
  }
  const row = shape.at(-1) ?? 1
  if (isQuant(dtype) && row % quantFormats[dtype].block !== 0) {
    refuseGguf(
      file,
      'a row is not a whole number of blocks',
      ['tensor', tensor],
      ['expected', `a multiple of ${quantFormats[dtype].block} for ${dtype}`],
      ['got', `${row}`],
    )
  }
  const bytes = shape.slice(0, -1).reduce((product, dim) => product * dim, 1) * rowBytes(dtype, row)
  if (!(bytes <= file.size)) {
    refuseGguf(
      file,
      'a tensor is larger than the file',
      ['tensor', tensor],
      ['shape', `[${shape.join(', ')}] of ${dtype}`],
      ['expected', `at most ${file.size} bytes`],
      ['got', `${bytes} bytes`],
    )
  }
  return { name: tensor, dtype, shape, place: reader.count('an offset'), bytes }
}

const roundUp = (size: number, step: number): number => Math.ceil(size / step) * step
const hex = (word: number): string => `0x${word.toString(16).padStart(8, '0')}`
