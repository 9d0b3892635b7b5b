// The few parts of an ELF64 little-endian file that we read: sections, notes, symbols. Every offset
// is checked, since a file may come from a bundle of unknown origin.

interface ElfSection {
  readonly name: string
  readonly type: number
  readonly info: number
  /** of its first byte, as symbols count */
  readonly address: number
  /** bytes in memory: a NOBITS section has a size and no content */
  readonly size: number
  readonly content: Uint8Array
}
interface ElfNote {
  readonly owner: string
  readonly type: number
  readonly content: Uint8Array
}
interface ElfSymbol {
  readonly name: string
  readonly address: number
  readonly size: number
}
export interface Elf {
  readonly machine: number
  readonly abiVersion: number
  readonly flags: number
  readonly sections: readonly ElfSection[]
  readonly notes: readonly ElfNote[]
  /** in the order of the table, whose indices other sections use */
  symbols(): readonly ElfSymbol[]
}

const NOBITS = 8
const NOTE = 7

/** Undefined when the bytes are no complete ELF64 file. */
export function readElf(bytes: Uint8Array): Elf | undefined {
  try {
    return parse(bytes)
  } catch (error) {
    if (error instanceof RangeError) return undefined // DataView: outside the file
    throw error
  }
}

function parse(bytes: Uint8Array): Elf | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 64 || view.getUint32(0) !== 0x7f454c46 || bytes[4] !== 2 || bytes[5] !== 1) return undefined
  const u64 = (at: number): number => Number(view.getBigUint64(at, true))
  const table = u64(40)
  const entrySize = view.getUint16(58, true)
  const count = view.getUint16(60, true)
  const raw = Array.from({ length: count }, (_, index) => {
    const at = table + index * entrySize
    const [nameAt, type] = [view.getUint32(at, true), view.getUint32(at + 4, true)]
    const [address, offset, size] = [u64(at + 16), u64(at + 24), u64(at + 32)]
    const [link, info] = [view.getUint32(at + 40, true), view.getUint32(at + 44, true)]
    if (type !== NOBITS && offset + size > bytes.length) throw new RangeError('section outside the file')
    const content = type === NOBITS ? new Uint8Array() : bytes.subarray(offset, offset + size)
    return { nameAt, type, address, size, link, info, content }
  })
  const names = raw[view.getUint16(62, true)]?.content ?? new Uint8Array()
  const sections = raw.map((section) => ({ ...section, name: textAt(names, section.nameAt) }))

  const stringsOf = (section: { link: number }): Uint8Array => sections[section.link]?.content ?? new Uint8Array()
  return {
    machine: view.getUint16(18, true),
    abiVersion: bytes[8]!,
    flags: view.getUint32(48, true),
    sections,
    notes: sections.filter(({ type }) => type === NOTE).flatMap(({ content }) => readNotes(content)),
    symbols: () => {
      const found = sections.find(({ name }) => name === '.symtab') ?? sections.find(({ name }) => name === '.dynsym')
      if (!found) return []
      const data = viewOf(found.content)
      return Array.from({ length: Math.floor(found.content.length / 24) }, (_, i) => ({
        name: textAt(stringsOf(found), data.getUint32(i * 24, true)),
        address: Number(data.getBigUint64(i * 24 + 8, true)),
        size: Number(data.getBigUint64(i * 24 + 16, true)),
      }))
    },
  }
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function textAt(bytes: Uint8Array, at: number): string {
  const end = bytes.indexOf(0, at)
  return Buffer.from(bytes.subarray(at, end < 0 ? bytes.length : end)).toString('utf8')
}

function readNotes(content: Uint8Array): ElfNote[] {
  const view = viewOf(content)
  const notes: ElfNote[] = []
  for (let at = 0; at + 12 <= content.length; ) {
    const [nameBytes, size] = [view.getUint32(at, true), view.getUint32(at + 4, true)]
    const start = at + 12 + align4(nameBytes)
    if (start + size > content.length) throw new RangeError('note outside its section')
    const note = {
      owner: textAt(content.subarray(0, at + 12 + nameBytes), at + 12),
      type: view.getUint32(at + 8, true),
    }
    notes.push({ ...note, content: content.subarray(start, start + size) })
    at = start + align4(size)
  }
  return notes
}

const align4 = (size: number): number => (size + 3) & ~3
