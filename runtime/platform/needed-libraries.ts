// What a shared library needs of others, read from its file: so that those beside it are loaded by path, before the
// system's loader would look for their names among the machine's own copies. ELF64, little-endian (Linux).
import { closeSync, existsSync, openSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'

const PT_LOAD = 1
const PT_DYNAMIC = 2
const DT_NEEDED = 1n
const DT_STRTAB = 5n

/** The names that a library asks the loader for (DT_NEEDED), in order; [] for a file that is no ELF library. */
export function neededBy(file: string): string[] {
  const fd = openSync(file, 'r')
  try {
    const read = (at: number, bytes: number): Buffer => {
      const buffer = Buffer.alloc(bytes)
      return buffer.subarray(0, readSync(fd, buffer, 0, bytes, at))
    }
    const header = read(0, 64)
    if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2 || header[5] !== 1) return []
    const [tableAt, entryBytes, count] = [u64(header, 32), header.readUInt16LE(54), header.readUInt16LE(56)]
    const table = read(tableAt, entryBytes * count)
    const segments = Array.from({ length: count }, (_, i) => {
      const entry = table.subarray(i * entryBytes)
      return { type: entry.readUInt32LE(0), offset: u64(entry, 8), address: u64(entry, 16), bytes: u64(entry, 32) }
    })
    const dynamic = segments.find(({ type }) => type === PT_DYNAMIC)
    if (!dynamic) return []
    const entries = read(dynamic.offset, dynamic.bytes)
    const valuesOf = (tag: bigint): number[] =>
      Array.from({ length: entries.length >> 4 }, (_, i) => i * 16)
        .filter((at) => entries.readBigInt64LE(at) === tag)
        .map((at) => u64(entries, at + 8))
    const textAddress = valuesOf(DT_STRTAB)[0] ?? 0
    const holder = segments.find(
      ({ type, address, bytes }) => type === PT_LOAD && textAddress >= address && textAddress < address + bytes,
    )
    if (!holder) return []
    const textAt = textAddress - holder.address + holder.offset
    return valuesOf(DT_NEEDED).map(
      (at) =>
        read(textAt + at, 256)
          .toString('latin1')
          .split('\0', 1)[0]!,
    )
  } finally {
    closeSync(fd)
  }
}

const u64 = (bytes: Buffer, at: number): number => Number(bytes.readBigUInt64LE(at))

/** The libraries of a folder that these need, directly or not, themselves included: each after those that it needs. */
export function closureBeside(folder: string, names: readonly string[]): string[] {
  const done = new Set<string>()
  const visit = (name: string): string[] => {
    if (done.has(name) || !existsSync(join(folder, name))) return []
    done.add(name)
    return [...neededBy(join(folder, name)).flatMap(visit), name]
  }
  return names.flatMap(visit)
}

/** glibc's own libraries, which belong to the loader that started the process: never another release's. */
export const isOfGlibc = (name: string): boolean =>
  /^(ld-linux.*|lib(c|m|mvec|pthread|dl|rt|resolv|util|anl|BrokenLocale|nss_\w+|thread_db))\.so\.\d+$/.test(name)

/** Files that this process has mapped. */
export function mappedFiles(maps = '/proc/self/maps'): string[] {
  if (!existsSync(maps)) return []
  return [...new Set(readFileSync(maps, 'latin1').match(/\/\S.*$/gm) ?? [])]
}

/** `2.36`, as a C library's file says itself; undefined for another than glibc. */
export function glibcVersion(file: string): string | undefined {
  if (!existsSync(file)) return undefined
  const bytes = readFileSync(file)
  const at = bytes.indexOf('GNU C Library')
  return /release version (\d+\.\d+)/.exec(bytes.toString('latin1', at, at + 200))?.[1]
}

let own: { readonly version: string | undefined } | undefined

/** The release of glibc that this process runs under. */
export function ownGlibcVersion(): string | undefined {
  if (!own) {
    const file = mappedFiles().find((path) => /\/libc(\.so\.6|-[\d.]+\.so)$/.test(path))
    own = { version: file && glibcVersion(file) }
  }
  return own.version
}
