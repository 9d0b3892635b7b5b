// A machine described as a table of files, for discovery and the survey.
import { posix, win32 } from 'node:path'
import type { HipSearch } from '../../../runtime/platform/discovery.ts'
import type { FileView } from '../../../runtime/platform/file-view.ts'

export interface FakeMachine {
  readonly os?: 'linux' | 'windows'
  readonly files?: readonly string[]
  readonly env?: Record<string, string>
  /** what a name points to */
  readonly links?: Record<string, string>
  /** files that are not what their name says */
  readonly damaged?: Record<string, string>
}

const elf = (width: number, processor: number): Uint8Array => {
  const head = new Uint8Array(64)
  head.set([0x7f, 0x45, 0x4c, 0x46, width])
  head[18] = processor
  return head
}

const pe = (machine: number): Uint8Array => {
  const head = new Uint8Array(256)
  head.set([0x4d, 0x5a])
  head[60] = 128
  head.set([0x50, 0x45, 0, 0, machine & 255, machine >> 8], 128)
  return head
}

function header(os: 'linux' | 'windows', kind: string | undefined): Uint8Array {
  if (kind === 'empty') return new Uint8Array(0)
  if (kind === 'text') return new TextEncoder().encode('INPUT ( libamdhip64.so.7 )')
  if (os === 'windows') return pe(kind === undefined ? 0x8664 : 0x14c)
  if (kind === 'a 32-bit library') return elf(1, 3)
  return elf(2, kind === undefined ? 62 : 183)
}

export function machine({ os = 'linux', files = [], env = {}, links = {}, damaged = {} }: FakeMachine): FileView {
  const path = os === 'windows' ? win32 : posix
  return {
    os,
    arch: 'x64',
    env,
    home: '/home/someone',
    programFolder: os === 'windows' ? 'C:\\node' : '/usr/bin',
    list(folder) {
      const prefix = folder.endsWith(path.sep) ? folder : folder + path.sep
      const names = files.filter((file) => file.startsWith(prefix)).map((file) => file.slice(prefix.length))
      return [...new Set(names.map((name) => name.split(path.sep)[0]!))]
    },
    head: (file) => (files.includes(file) ? header(os, damaged[file]) : undefined),
    real: (file) => links[file] ?? file,
    loaderFolders: () =>
      os === 'windows'
        ? ['C:\\Windows\\System32']
        : [...(env['LD_LIBRARY_PATH'] ?? '').split(':').filter(Boolean), '/usr/lib/x86_64-linux-gnu', '/usr/lib'],
  }
}

/** The set found, as paths, with the problem where there is one. */
export function shown({ found, problem }: HipSearch): Record<string, string | undefined> {
  const { why, ...parts } = found ?? { why: '' }
  return {
    why,
    ...Object.fromEntries(Object.entries(parts).map(([part, library]) => [part, library.path])),
    ...(problem ? { problem } : {}),
  }
}
