// The folder of an unpacked compiler: in `lib` what it loads and what Node needs beside it, and nothing else of Debian's
// packages. All in one folder, so that its C library's loader needs one path.
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { closureBeside } from '../platform/needed-libraries.ts'

const libraryFolders = ['lib', 'lib64', 'usr/lib', 'usr/lib64'].flatMap((path) => [path, `${path}/x86_64-linux-gnu`])

/** What is opened by name: the compilers, and what Node is linked with. */
const isRoot = (name: string): boolean =>
  /^lib(hiprtc|hiprtc-builtins|amdhip64|amd_comgr|nvrtc|nvrtc-builtins)\.so\.[\d.]+$/.test(name) ||
  /^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux-x86-64)\.so\.\d$/.test(name)

/** Makes `folder/lib` of packages that were unpacked into `folder`; the rest of them is deleted. */
export function keepLoadable(folder: string): void {
  const all = join(folder, 'all')
  mkdirSync(all)
  for (const from of libraryFolders.map((path) => join(folder, path)).filter(existsSync))
    for (const name of readdirSync(from)) {
      const isLibrary = /\.so(\.|$)/.test(name) && !isFolder(join(from, name)) && !leadsElsewhere(join(from, name))
      if (isLibrary && !existsSync(join(all, name))) renameSync(join(from, name), join(all, name))
    }
  const names = readdirSync(all)
  const needed = closureBeside(all, names.filter(isRoot))
  const kept = new Set(needed.flatMap((name) => [name, ...behind(all, name)]))
  for (const name of names) if (!kept.has(name)) rmSync(join(all, name))
  for (const name of kept) if (!lstatSync(join(all, name)).isSymbolicLink()) forgetExecutableStack(join(all, name))
  for (const name of readdirSync(folder)) if (name !== 'all') rmSync(join(folder, name), { recursive: true })
  renameSync(all, join(folder, 'lib'))
}

const isFolder = (path: string): boolean => lstatSync(path).isDirectory()

/** A link out of its folder, such as the loader's in /lib64: its file is found where it lies. */
const leadsElsewhere = (path: string): boolean => lstatSync(path).isSymbolicLink() && readlinkSync(path).includes('/')

/** The files that a link's name stands for, to the last. */
function behind(folder: string, name: string): string[] {
  const path = join(folder, name)
  if (!lstatSync(path).isSymbolicLink()) return []
  const next = basename(readlinkSync(path))
  return [next, ...behind(folder, next)]
}

/**
 * hipRTC 5.2's built-in header, a library of data, asks for an executable stack, since its assembler text does not say that it
 * needs none: glibc from 2.41 on refuses to load such a library.
 */
export function forgetExecutableStack(file: string): void {
  const fd = openSync(file, 'r+')
  try {
    const header = Buffer.alloc(64)
    if (readSync(fd, header, 0, 64, 0) < 64 || header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2) return
    const [tableAt, entryBytes, count] = [
      Number(header.readBigUInt64LE(32)),
      header.readUInt16LE(54),
      header.readUInt16LE(56),
    ]
    const entry = Buffer.alloc(8) // type and flags of a segment
    for (let at = tableAt; at < tableAt + count * entryBytes; at += entryBytes) {
      readSync(fd, entry, 0, 8, at)
      const [type, flags] = [entry.readUInt32LE(0), entry.readUInt32LE(4)]
      if (type !== PT_GNU_STACK || !(flags & PF_X)) continue
      entry.writeUInt32LE(flags & ~PF_X, 4)
      writeSync(fd, entry, 4, 4, at + 4)
    }
  } finally {
    closeSync(fd)
  }
}

const PT_GNU_STACK = 0x6474e551
const PF_X = 1
