// Reads and checks the header of a safetensors file: an 8-byte length, JSON, then the data, which the tensors must
// cover without overlap or hole. Source of the rules: the README and the validating reader of huggingface/safetensors.
import { type Fact, fail } from '../../ir/diagnostic.ts'
import type { Dtype } from '../../ir/type.ts'
import { refuseForeignFormat } from './foreign-formats.ts'
import type { SourceFile } from './source-file.ts'
import { type JsonObject, parseJsonObject } from './strict-json.ts'

/** Bytes; a limit of the format itself. */
const headerLimit = 100_000_000
const code = 'bad-safetensors'

/** Bits of an element, and our dtype where we can hold it. */
const storedTypes: Record<string, { readonly bits: number; readonly dtype?: Dtype }> = {
  F32: { bits: 32, dtype: 'f32' },
  F16: { bits: 16, dtype: 'f16' },
  BF16: { bits: 16, dtype: 'bf16' },
  I32: { bits: 32, dtype: 'i32' },
  U32: { bits: 32, dtype: 'u32' },
  I8: { bits: 8, dtype: 'i8' },
  U8: { bits: 8, dtype: 'u8' },
  BOOL: { bits: 8, dtype: 'bool' },
  F64: { bits: 64 },
  I64: { bits: 64 },
  U64: { bits: 64 },
  C64: { bits: 64 },
  I16: { bits: 16 },
  U16: { bits: 16 },
  F8_E4M3: { bits: 8 },
  F8_E5M2: { bits: 8 },
  F8_E8M0: { bits: 8 },
  F8_E4M3FNUZ: { bits: 8 },
  F8_E5M2FNUZ: { bits: 8 },
  F6_E2M3: { bits: 6 },
  F6_E3M2: { bits: 6 },
  F4: { bits: 4 },
}

export interface StoredTensor {
  readonly name: string
  /** as the file spells it */
  readonly storedAs: string
  /** absent where no kernel reads the type */
  readonly dtype: Dtype | undefined
  readonly shape: readonly number[]
  /** byte in the file */
  readonly offset: number
  readonly bytes: number
}

export function readSafetensorsHeader(file: SourceFile): StoredTensor[] {
  refuseForeignFormat(file)
  const length = readLength(file)
  const json = Buffer.alloc(length)
  file.readSync(json, 8)
  if (json[0] !== 0x7b)
    refuse(file, 'the header does not start with "{"', ['got', `byte 0x${json[0]?.toString(16) ?? ''}`])
  const header = parseJsonObject(json, { code, file: file.path, mode: 'strict' })

  const dataStart = 8 + length
  const dataBytes = file.size - dataStart
  const tensors: StoredTensor[] = []
  for (const [name, described] of Object.entries(header)) {
    if (name === '__metadata__') checkMetadata(file, described)
    else tensors.push(readTensor(file, name, described, dataStart, dataBytes))
  }
  checkCoverage(file, tensors, dataStart)
  return tensors
}

function readLength(file: SourceFile): number {
  if (file.size < 8) truncated(file, 'at least 8 bytes', file.size)
  const head = Buffer.alloc(8)
  file.readSync(head, 0)
  const length = head.readBigUInt64LE()
  if (length > headerLimit || length < 2n) {
    refuse(file, 'the header has an impossible length', ['expected', `2 to ${headerLimit} bytes`], ['got', `${length}`])
  }
  const end = 8 + Number(length)
  if (end > file.size) truncated(file, `at least ${end} bytes for the header`, file.size)
  return Number(length)
}

function checkMetadata(file: SourceFile, described: unknown): void {
  const isMap = described !== null && typeof described === 'object' && !Array.isArray(described)
  if (isMap && Object.values(described).every((text) => typeof text === 'string')) return
  refuse(file, '`__metadata__` must map texts to texts', ['got', JSON.stringify(described).slice(0, 100)])
}

function readTensor(
  file: SourceFile,
  name: string,
  described: unknown,
  dataStart: number,
  dataBytes: number,
): StoredTensor {
  const at: Fact = ['tensor', name.slice(0, 200)]
  const wrong = (key: string, expected: string, got: unknown): never =>
    refuse(
      file,
      `a tensor has an impossible \`${key}\``,
      at,
      ['expected', expected],
      ['got', JSON.stringify(got)?.slice(0, 200) ?? 'nothing'],
    )
  if (described === null || typeof described !== 'object' || Array.isArray(described)) {
    return wrong('description', 'an object', described)
  }
  const { dtype: storedAs, shape, data_offsets: place, ...rest } = described as JsonObject
  const [extra] = Object.keys(rest)
  if (extra !== undefined) wrong(extra, 'dtype, shape and data_offsets alone', rest[extra])
  if (typeof storedAs !== 'string' || !Object.hasOwn(storedTypes, storedAs)) {
    return wrong('dtype', Object.keys(storedTypes).join(', '), storedAs)
  }
  if (!isWholes(shape)) return wrong('shape', 'whole numbers', shape)
  if (!isWholes(place) || place.length !== 2) return wrong('data_offsets', 'two whole numbers', place)
  const [begin, end] = place as [number, number]
  if (begin > end) wrong('data_offsets', 'begin <= end', place)
  if (end > dataBytes) {
    fail({
      code: 'truncated-file',
      message: 'the file ends before the data of a tensor does',
      facts: [['file', file.path], at, ['expected', `${dataStart + end} bytes`], ['got', `${file.size} bytes`]],
      help: 'download or copy the file again and compare its size with the source',
    })
  }
  const { bits, dtype } = storedTypes[storedAs]!
  const elements = shape.reduce((product, dim) => product * dim, 1)
  if (!Number.isSafeInteger(elements * bits)) wrong('shape', 'at most 2^53 bits', shape)
  if ((elements * bits) % 8 !== 0) wrong('shape', `whole bytes of ${storedAs}`, shape)
  const bytes = (elements * bits) / 8
  if (bytes !== end - begin) {
    refuse(
      file,
      'the data of a tensor does not fit its shape',
      at,
      ['expected', `${bytes} bytes for ${storedAs}[${shape.join(', ')}]`],
      ['got', `${end - begin} bytes`],
    )
  }
  return { name, storedAs, dtype, shape, offset: dataStart + begin, bytes }
}

function checkCoverage(file: SourceFile, tensors: readonly StoredTensor[], dataStart: number): void {
  let next = dataStart
  for (const { name, offset, bytes } of [...tensors].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    if (offset !== next) {
      const what = offset < next ? 'the data of two tensors overlap' : 'there is a hole in the data'
      refuse(
        file,
        what,
        ['tensor', name.slice(0, 200)],
        ['expected', `offset ${next - dataStart}`],
        ['got', `offset ${offset - dataStart}`],
      )
    }
    next = offset + bytes
  }
  if (next !== file.size) {
    refuse(file, 'there is data after the last tensor', ['expected', `${next} bytes`], ['got', `${file.size} bytes`])
  }
}

const isWholes = (list: unknown): list is number[] =>
  Array.isArray(list) && list.every((one) => Number.isSafeInteger(one) && one >= 0)

function truncated(file: SourceFile, expected: string, got: number): never {
  return fail({
    code: 'truncated-file',
    message: 'the file ends before what its header announces',
    facts: [
      ['file', file.path],
      ['expected', expected],
      ['got', `${got} bytes`],
    ],
    help: 'download or copy the file again and compare its size with the source',
  })
}

function refuse(file: SourceFile, message: string, ...facts: Fact[]): never {
  return fail({ code, message, facts: [['file', file.path], ...facts] })
}
