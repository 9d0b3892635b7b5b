// Reads MessagePack, the form in which AMD's compiler writes a code object's metadata. Integers beyond 2^53 lose
// precision; extension types do not occur there and are refused.

export type Packed = null | boolean | number | string | Uint8Array | Packed[] | { [key: string]: Packed }

const maxDepth = 32

/** The first value of the bytes; undefined when they are not MessagePack. */
export function readMessagePack(bytes: Uint8Array): Packed | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = 0

  const take = (size: number): number => {
    if (at + size > bytes.length) throw new RangeError('truncated')
    at += size
    return at - size
  }
  const unsigned = (size: 1 | 2 | 4 | 8): number => {
    const from = take(size)
    if (size === 1) return view.getUint8(from)
    if (size === 2) return view.getUint16(from)
    return size === 4 ? view.getUint32(from) : Number(view.getBigUint64(from))
  }
  const signed = (size: 1 | 2 | 4 | 8): number => {
    const from = take(size)
    if (size === 1) return view.getInt8(from)
    if (size === 2) return view.getInt16(from)
    return size === 4 ? view.getInt32(from) : Number(view.getBigInt64(from))
  }
  const raw = (size: number): Uint8Array => {
    const from = take(size)
    return bytes.subarray(from, from + size)
  }
  const text = (size: number): string => Buffer.from(raw(size)).toString('utf8')
  const list = (size: number, depth: number): Packed[] => {
    const items: Packed[] = []
    for (let i = 0; i < size; i++) items.push(value(depth + 1))
    return items
  }
  const map = (size: number, depth: number): Packed => {
    const pairs: [string, Packed][] = []
    for (let i = 0; i < size; i++) pairs.push([String(value(depth + 1)), value(depth + 1)])
    return Object.fromEntries(pairs)
  }

  function value(depth: number): Packed {
    if (depth > maxDepth) throw new RangeError('too deep')
    const tag = unsigned(1)
    if (tag < 0x80) return tag
    if (tag < 0x90) return map(tag & 15, depth)
    if (tag < 0xa0) return list(tag & 15, depth)
    if (tag < 0xc0) return text(tag & 31)
    if (tag >= 0xe0) return tag - 256
    switch (tag) {
      case 0xc0:
        return null
      case 0xc2:
        return false
      case 0xc3:
        return true
      case 0xc4:
        return raw(unsigned(1))
      case 0xc5:
        return raw(unsigned(2))
      case 0xc6:
        return raw(unsigned(4))
      case 0xca:
        return view.getFloat32(take(4))
      case 0xcb:
        return view.getFloat64(take(8))
      case 0xcc:
        return unsigned(1)
      case 0xcd:
        return unsigned(2)
      case 0xce:
        return unsigned(4)
      case 0xcf:
        return unsigned(8)
      case 0xd0:
        return signed(1)
      case 0xd1:
        return signed(2)
      case 0xd2:
        return signed(4)
      case 0xd3:
        return signed(8)
      case 0xd9:
        return text(unsigned(1))
      case 0xda:
        return text(unsigned(2))
      case 0xdb:
        return text(unsigned(4))
      case 0xdc:
        return list(unsigned(2), depth)
      case 0xdd:
        return list(unsigned(4), depth)
      case 0xde:
        return map(unsigned(2), depth)
      case 0xdf:
        return map(unsigned(4), depth)
      default:
        throw new RangeError(`tag ${tag}`)
    }
  }

  try {
    return value(0)
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
