// Typed access to GGUF metadata: a key is either of the type that its reader expects or a Diagnostic, so that nothing
// further in can take an array of bytes for scores.
import { fail } from '../../ir/diagnostic.ts'
import type { GgufValueType } from './gguf-types.ts'
import type { GgufValue } from './gguf-values.ts'

export interface GgufMetadata {
  has(key: string): boolean
  /** a number of any integer or float type (a bigint stays one, for the message of whoever checks the range) */
  number(key: string): number | bigint | undefined
  boolean(key: string): boolean | undefined
  string(key: string): string | undefined
  strings(key: string): readonly string[] | undefined
  floats(key: string): Float32Array | undefined
  ints(key: string): Int32Array | undefined
  /** a number, or an array of the same number for each of `layers` */
  perLayer(key: string, layers: number | bigint | undefined): number | bigint | undefined
}

export function ggufMetadata(file: string, metadata: ReadonlyMap<string, GgufValue>): GgufMetadata {
  const refuse = (key: string, expected: string, got: string): never =>
    fail({
      code: 'bad-metadata',
      message: 'a metadata value has the wrong type',
      facts: [
        ['file', file],
        ['key', key],
        ['expected', expected],
        ['got', got],
      ],
    })
  const scalar = (key: string, expected: string, types: readonly GgufValueType[]) => {
    const found = metadata.get(key)
    if (!found) return undefined
    if (found.type === 'array' || !types.includes(found.type)) {
      return refuse(key, expected, found.type === 'array' ? `an array of ${found.items}` : found.type)
    }
    return found.value
  }
  const list = (key: string, items: readonly GgufValueType[]) => {
    const found = metadata.get(key)
    if (!found) return undefined
    if (found.type !== 'array') return refuse(key, `an array of ${items.join(' or ')}`, found.type)
    if (!items.includes(found.items))
      return refuse(key, `an array of ${items.join(' or ')}`, `an array of ${found.items}`)
    return found.value
  }
  const numeric: GgufValueType[] = ['u8', 'i8', 'u16', 'i16', 'u32', 'i32', 'u64', 'i64', 'f32', 'f64']
  const self: GgufMetadata = {
    has: (key) => metadata.has(key),
    number: (key) => scalar(key, 'a number', numeric) as number | bigint | undefined,
    boolean: (key) => scalar(key, 'a truth value', ['bool']) as boolean | undefined,
    string: (key) => scalar(key, 'a text', ['string']) as string | undefined,
    strings: (key) => list(key, ['string']) as readonly string[] | undefined,
    floats: (key) => list(key, ['f32']) as Float32Array | undefined,
    ints(key) {
      const found = list(key, ['i32', 'u32']) as Int32Array | Uint32Array | undefined
      return found && Int32Array.from(found)
    },
    perLayer(key, layers) {
      if (metadata.get(key)?.type !== 'array') return self.number(key)
      const found = list(key, ['u32', 'i32']) as Int32Array | Uint32Array
      if (found.length !== Number(layers))
        fail({
          code: 'bad-metadata',
          message: 'a list does not have one element for each layer',
          facts: [
            ['file', file],
            ['key', key],
            ['expected', `one for each of the ${layers} layers`],
            ['got', `${found.length} elements`],
          ],
        })
      if (found.every((one) => one === found[0])) return found[0]
      return refuse(
        key,
        'the same number for every layer',
        `[${found.slice(0, 8).join(', ')}${found.length > 8 ? ', …' : ''}]`,
      )
    },
  }
  return self
}
