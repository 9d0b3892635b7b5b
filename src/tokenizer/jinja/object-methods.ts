// Methods of lists, tuples, dicts, numbers and bytes.
import { equal, toList } from './compare.ts'
import { raise, valueError } from './errors.ts'
import type { Methods } from './methods.ts'
import { asIndex, orNone } from './signature.ts'
import { Bytes, Dict, DictView, isInt, isList, Tuple, type Value } from './values.ts'

export const listMethods: Methods<readonly Value[]> = {
  count: ['/ value', (self, [value]) => BigInt(self.filter((item) => equal(item, value!)).length)],
  copy: ['/', (self) => [...self]],
  index: [
    '/ value start= stop=',
    (self, [value, start, stop]) => {
      const clamp = (given: Value | undefined, fallback: number) => {
        const index = given === undefined ? fallback : asIndex(given)
        return index < 0 ? Math.max(0, index + self.length) : index
      }
      const end = Math.min(self.length, clamp(stop, self.length))
      for (let index = clamp(start, 0); index < end; index++) if (equal(self[index]!, value!)) return BigInt(index)
      return valueError('value is not in list')
    },
  ],
}

export const dictMethods: Methods<Dict> = {
  get: ['/ key default=', (self, [key, fallback]) => (self.has(key!) ? self.get(key!)! : orNone(fallback))],
  keys: ['/', (self) => new DictView(self, 'keys')],
  values: ['/', (self) => new DictView(self, 'values')],
  items: ['/', (self) => new DictView(self, 'items')],
  copy: ['/', (self) => new Dict(self.entries())],
  fromkeys: [
    '/ keys value=',
    (_, [keys, value]) => new Dict(toList(keys!).map((key) => [key, orNone(value)] as const)),
  ],
}

export const viewMethods: Methods<DictView> = {
  isdisjoint: [
    '/ other',
    (self, [other]) => !toList(other!).some((item) => self.list().some((own) => equal(own, item))),
  ],
}

/** what numbers have as plain attributes */
export function numberAttribute(value: bigint | boolean | number, name: string): Value | undefined {
  const int = isInt(value)
  switch (name) {
    case 'real':
      return int ? BigInt(value) : value
    case 'imag':
      return int ? 0n : 0
    case 'numerator':
      return int ? BigInt(value) : undefined
    case 'denominator':
      return int ? 1n : undefined
  }
  return undefined
}

export const intMethods: Methods<bigint> = {
  bit_length: ['/', (self) => BigInt(self === 0n ? 0 : abs(self).toString(2).length)],
  bit_count: ['/', (self) => BigInt(abs(self).toString(2).replaceAll('0', '').length)],
  conjugate: ['/', (self) => self],
  as_integer_ratio: ['/', (self) => new Tuple([self, 1n])],
}

const abs = (value: bigint) => (value < 0n ? -value : value)

export const floatMethods: Methods<number> = {
  is_integer: ['/', (self) => Number.isInteger(self)],
  conjugate: ['/', (self) => self],
  as_integer_ratio: [
    '/',
    (self) => {
      if (Number.isNaN(self)) return valueError('cannot convert NaN to integer ratio')
      if (!Number.isFinite(self)) return raise('OverflowError', 'cannot convert Infinity to integer ratio')
      let [top, bottom] = [self, 1n]
      while (!Number.isInteger(top)) {
        top *= 2
        bottom *= 2n
      }
      return new Tuple([BigInt(top), bottom])
    },
  ],
}

export const bytesMethods: Methods<Bytes> = {
  decode: [
    'encoding= errors=',
    ({ bytes }, [encoding, errors]) => {
      const name = encoding === undefined ? 'utf-8' : String(encoding).toLowerCase().replace('_', '-')
      if (!['utf-8', 'utf8', 'ascii', 'latin-1', 'iso-8859-1'].includes(name)) {
        return raise('LookupError', `unknown encoding: ${name}`)
      }
      if (name === 'latin-1' || name === 'iso-8859-1') return Buffer.from(bytes).toString('latin1')
      const fatal = errors === undefined || errors === 'strict'
      try {
        return new TextDecoder('utf-8', { fatal, ignoreBOM: true }).decode(bytes)
      } catch {
        return raise('UnicodeDecodeError', `'${name}' codec can't decode bytes`)
      }
    },
  ],
  hex: ['/', ({ bytes }) => Buffer.from(bytes).toString('hex')],
}

export const encodeText = (text: string, encoding: string, errors: string): Bytes => {
  const name = encoding.toLowerCase().replace('_', '-')
  if (name === 'utf-8' || name === 'utf8') return new Bytes(Buffer.from(text, 'utf8'))
  const limit = name === 'ascii' || name === 'us-ascii' ? 128 : name === 'latin-1' || name === 'iso-8859-1' ? 256 : 0
  if (limit === 0) return raise('LookupError', `unknown encoding: ${encoding}`)
  const bytes = [...text].flatMap((char) => {
    const code = char.codePointAt(0)!
    if (code < limit) return [code]
    if (errors === 'ignore') return []
    if (errors === 'replace') return [63]
    return raise('UnicodeEncodeError', `'${name}' codec can't encode character in position ${text.indexOf(char)}`)
  })
  return new Bytes(Uint8Array.from(bytes))
}

export const asItems = (value: Value): readonly Value[] | undefined =>
  isList(value) ? value : value instanceof Tuple ? value.items : undefined
