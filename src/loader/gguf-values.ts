// Reads the values of GGUF metadata: numbers, texts and arrays, each with the type that the file gives it, and each
// held to what the file can still contain before it is allocated.
import { type Fact, fail } from '../../ir/diagnostic.ts'
import { type GgufNumericType, type GgufValueType, numericBytes, valueTypes } from './gguf-types.ts'
import type { HeaderReader } from './header-reader.ts'
import type { SourceFile } from './source-file.ts'

/** No real file comes near these. */
const limits = {
  arrayElements: 4_000_000,
  arrayNesting: 4,
  stringBytes: 10_000_000,
} as const

type GgufArray = { readonly type: 'array'; readonly items: GgufValueType; readonly value: GgufItems }
type GgufItems =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array
  | readonly string[]
  | readonly GgufArray[]
/** A metadata value with the type that the file gives it; 64-bit integers beyond 2^53 stay bigint. */
export type GgufValue =
  | GgufArray
  | { readonly type: Exclude<GgufValueType, 'array'>; readonly value: number | bigint | boolean | string }

/** One metadata value: its type, then itself. */
export function readGgufValue(reader: HeaderReader, file: SourceFile, key: string): GgufValue {
  return value(reader, file, key, valueType(reader, file, key))
}

function valueType(reader: HeaderReader, file: SourceFile, key: string): GgufValueType {
  const id = reader.u32()
  return (
    valueTypes[id] ??
    refuseGguf(
      file,
      'a metadata value has an unknown type',
      ['key', key],
      ['expected', `0 to ${valueTypes.length - 1}`],
      ['got', `${id}`],
    )
  )
}

function value(reader: HeaderReader, file: SourceFile, key: string, type: GgufValueType): GgufValue {
  if (type === 'string') return { type, value: string(reader, file, key) }
  if (type === 'array') return array(reader, file, key, 1)
  const items = numbers(reader, type, 1)
  const one = items[0]!
  if (type === 'bool') {
    if (one !== 0 && one !== 1) refuseGguf(file, 'a truth value is neither 0 nor 1', ['key', key], ['got', `${one}`])
    return { type, value: one === 1 }
  }
  return { type, value: typeof one === 'bigint' && Number.isSafeInteger(Number(one)) ? Number(one) : one }
}

function string(reader: HeaderReader, file: SourceFile, key: string): string {
  const length = reader.count(`the length of a text`)
  reader.require(length, 'a text')
  if (length > limits.stringBytes) {
    refuseGguf(
      file,
      'a text is far too long',
      ['key', key],
      ['expected', `at most ${limits.stringBytes} bytes`],
      ['got', `${length} bytes`],
    )
  }
  return reader.text(length, 'a text')
}

function array(reader: HeaderReader, file: SourceFile, key: string, depth: number): GgufArray {
  if (depth > limits.arrayNesting) refuseGguf(file, `arrays nest deeper than ${limits.arrayNesting}`, ['key', key])
  const items = valueType(reader, file, key)
  const count = reader.count('the length of an array')
  // an element takes at least: a text its length, an array its type and length
  reader.require(count * (items === 'string' ? 8 : items === 'array' ? 12 : numericBytes[items]), `${count} elements`)
  if (count > limits.arrayElements) {
    refuseGguf(
      file,
      'an array is far too long',
      ['key', key],
      ['expected', `at most ${limits.arrayElements} elements`],
      ['got', `${count}`],
    )
  }
  if (items === 'string') {
    const out: string[] = []
    for (let i = 0; i < count; i++) out.push(string(reader, file, key))
    return { type: 'array', items, value: out }
  }
  if (items === 'array') {
    const out: GgufArray[] = []
    for (let i = 0; i < count; i++) out.push(array(reader, file, key, depth + 1))
    return { type: 'array', items, value: out }
  }
  return { type: 'array', items, value: numbers(reader, items, count) }
}

const views = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  bool: Uint8Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const

/** Numbers as the file holds them; like every typed array they are of the machine's order, which is little-endian. */
function numbers(reader: HeaderReader, type: GgufNumericType, count: number) {
  return new views[type](reader.bytes(count * numericBytes[type], `${count} numbers`).buffer)
}

export function refuseGguf(file: SourceFile, message: string, ...facts: Fact[]): never {
  return fail({ code: 'bad-gguf', message, facts: [['file', file.path], ...facts] })
}
