// What library discovery may know of a machine: names in folders, the first bytes of a file, variables. A record of
// functions, so that tests describe any machine, Windows too, as a table.
import { closeSync, openSync, readdirSync, readFileSync, readSync, realpathSync } from 'node:fs'
import { dirname, posix, win32 } from 'node:path'
import { homeFolder } from '../cache/root.ts'

export interface FileView {
  readonly os: 'linux' | 'windows'
  /** `x64` or `arm64`: what a library must be built for */
  readonly arch: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** undefined: the user has none */
  readonly home: string | undefined
  /** the folder of the running program (Windows looks for DLLs there) */
  readonly programFolder: string
  /** file names in a folder; [] where it does not exist */
  list(folder: string): readonly string[]
  /** the first 4096 bytes of a file, or undefined where it cannot be read */
  head(file: string): Uint8Array | undefined
  /** the file behind links */
  real(file: string): string
  /** folders the system's loader searches for a plain name, in order */
  loaderFolders(): readonly string[]
}

/** Path functions of the machine that the view describes, which in tests is not the one that runs. */
export const pathsOf = (view: FileView): typeof posix => (view.os === 'windows' ? win32 : posix)

/** This machine. Listings are remembered: one view is one moment. */
export function systemFiles(env: Readonly<Record<string, string | undefined>> = process.env): FileView {
  const listings = new Map<string, readonly string[]>()
  return {
    os: process.platform === 'win32' ? 'windows' : 'linux',
    arch: process.arch,
    env,
    home: homeFolder(env),
    programFolder: dirname(process.execPath),
    list(folder) {
      let names = listings.get(folder)
      if (!names) {
        try {
          names = readdirSync(folder)
        } catch {
          names = []
        }
        listings.set(folder, names)
      }
      return names
    },
    head(file) {
      try {
        const handle = openSync(file, 'r')
        try {
          const bytes = new Uint8Array(4096)
          return bytes.subarray(0, readSync(handle, bytes))
        } finally {
          closeSync(handle)
        }
      } catch {
        return undefined
      }
    },
    real(file) {
      try {
        return realpathSync(file)
      } catch {
        return file
      }
    },
    loaderFolders: () => (process.platform === 'win32' ? windowsFolders(env) : linuxFolders(env)),
  }
}

function windowsFolders(env: Readonly<Record<string, string | undefined>>): string[] {
  const root = env['SystemRoot'] ?? 'C:\\Windows'
  return [win32.join(root, 'System32'), ...(env['PATH'] ?? '').split(';').filter(Boolean)]
}

/** LD_LIBRARY_PATH, then the folders that ld.so.cache names, then the loader's defaults. */
function linuxFolders(env: Readonly<Record<string, string | undefined>>): string[] {
  const folders = new Set((env['LD_LIBRARY_PATH'] ?? '').split(':').filter(Boolean))
  try {
    // the cache ends in a table of NUL-terminated strings: names and absolute paths
    for (const text of readFileSync('/etc/ld.so.cache', 'latin1').split('\0')) {
      if (text.startsWith('/')) folders.add(posix.dirname(text))
    }
  } catch {
    // no cache (musl, minimal containers): the defaults below remain
  }
  for (const folder of defaultFolders) folders.add(folder)
  // /lib is a link to /usr/lib on most systems: look at each folder once
  const real = new Map<string, string>()
  for (const folder of folders) {
    try {
      const target = realpathSync(folder)
      if (!real.has(target)) real.set(target, folder)
    } catch {
      // does not exist
    }
  }
  return [...real.values()]
}

const defaultFolders = [
  '/lib64',
  '/usr/lib64',
  '/usr/lib/x86_64-linux-gnu',
  '/usr/lib/aarch64-linux-gnu',
  '/lib',
  '/usr/lib',
]

/** Why this file cannot be loaded into this process, by its header; undefined when it can. */
export function wrongBinary(view: FileView, file: string): string | undefined {
  const head = view.head(file)
  if (!head || head.length === 0) return 'cannot be read'
  const data = new DataView(head.buffer, head.byteOffset, head.byteLength)
  if (view.os === 'windows') {
    if (head.length < 64 || head[0] !== 0x4d || head[1] !== 0x5a) return 'is not a DLL'
    const header = data.getUint32(60, true)
    if (header + 6 > head.length || data.getUint32(header, true) !== 0x4550) return 'is not a DLL'
    return data.getUint16(header + 4, true) === (view.arch === 'arm64' ? 0xaa64 : 0x8664)
      ? undefined
      : 'is built for another processor (32-bit?)'
  }
  if (head.length < 20 || data.getUint32(0, false) !== 0x7f454c46) return 'is not a shared library'
  if (head[4] !== 2) return 'is a 32-bit library'
  return data.getUint16(18, true) === (view.arch === 'arm64' ? 183 : 62) ? undefined : 'is built for another processor'
}
