// The file operations that the caches are made of, as an interface, so that tests can make each one fail, and so that
// the order "write, sync, rename, sync the folder" is written once.
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'

export interface FileLayer {
  mkdir(folder: string): void
  /** names in a folder; [] when it does not exist */
  list(folder: string): string[]
  /** of the name itself, links not followed; undefined when absent */
  stat(path: string): Stats | undefined
  /** bytes of a regular file, links not followed; undefined when absent */
  read(path: string): Buffer | undefined
  /** opens a new file for writing; EEXIST when there is one */
  create(path: string): number
  write(fd: number, bytes: Uint8Array): void
  sync(fd: number): void
  close(fd: number): void
  /** replaces `to` in one step */
  rename(from: string, to: string): void
  /** a second name for a file; EEXIST when the name is taken */
  link(from: string, to: string): void
  syncFolder(folder: string): void
  unlink(path: string): void
  touch(path: string, atime: Date, mtime: Date): void
}

const noFollow = constants.O_NOFOLLOW ?? 0 // not on Windows

/** The layer that real use runs on. */
export const realFiles: FileLayer = {
  mkdir: makeFolder,
  list: (folder) => absentAs([], () => readdirSync(folder)),
  stat: (path) => absentAs(undefined, () => lstatSync(path)),
  read: (path) => absentAs(undefined, () => readRegular(path)),
  create: (path) => openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow, 0o644),
  write: (fd, bytes) => {
    for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at)
  },
  sync: (fd) => fsyncSync(fd),
  close: (fd) => closeSync(fd),
  rename: (from, to) => renameSync(from, to),
  link: (from, to) => linkSync(from, to),
  syncFolder: (folder) => {
    if (process.platform === 'win32') return // folders cannot be opened there
    const fd = openSync(folder, constants.O_RDONLY)
    try {
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  },
  unlink: (path) => absentAs(undefined, () => unlinkSync(path)),
  touch: (path, atime, mtime) => utimesSync(path, atime, mtime),
}

/**
 * Makes a folder and those above it. Not Node's recursive `mkdirSync`, which tries for ever where a folder that exists
 * answers ENOENT to a new one, as /proc does.
 */
export function makeFolder(folder: string): void {
  const make = () => {
    try {
      mkdirSync(folder, { mode: 0o755 })
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error
      if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
        throw Object.assign(new Error(`${folder} is not a folder`), { code: 'ENOTDIR' })
    }
  }
  try {
    make()
  } catch (error) {
    const above = dirname(folder)
    if (errorCode(error) !== 'ENOENT' || above === folder || statSync(above, { throwIfNoEntry: false })) throw error
    makeFolder(above)
    make()
  }
}

function readRegular(path: string): Buffer | undefined {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | noFollow) // a pipe must not block
  try {
    const stats = fstatSync(fd)
    if (!stats.isFile()) return undefined
    const bytes = Buffer.alloc(stats.size)
    let at = 0
    while (at < bytes.length) {
      const got = readSync(fd, bytes, at, bytes.length - at, at)
      if (got === 0) break // it shrank while being read: the checksum will tell
      at += got
    }
    return bytes.subarray(0, at)
  } finally {
    closeSync(fd)
  }
}

/** Absent files, and folders in their place, are ordinary answers. ELOOP: a link where a file was expected. */
function absentAs<T>(value: T, action: () => T): T {
  try {
    return action()
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EMLINK'].includes(errorCode(error))) return value
    throw error
  }
}

/** `ENOSPC`, `EACCES` …; an empty string for other errors. */
export const errorCode = (error: unknown): string => String((error as NodeJS.ErrnoException)?.code ?? '')

let temporaries = 0
/** ending of names that a crash may leave behind */
export const temporarySuffix = '.tmp'

/**
 * Puts `bytes` at `folder/name` so that a reader, also after a crash or loss of power, sees the old file or the new
 * one, never a third state. Throws what the file system says; the temporary file is then gone.
 */
export function writeAtomically(files: FileLayer, folder: string, name: string, bytes: Uint8Array): void {
  const temporary = join(folder, `${name}.${process.pid}-${threadId}-${temporaries++}${temporarySuffix}`)
  files.unlink(temporary) // left by a process that had our number before us
  const fd = files.create(temporary)
  try {
    try {
      files.write(fd, bytes)
      files.sync(fd) // before the rename: else the name may outlive the bytes
    } finally {
      files.close(fd)
    }
    files.rename(temporary, join(folder, name))
  } catch (error) {
    try {
      files.unlink(temporary)
    } catch {
      // the first error is the one to tell; prune() takes what is left
    }
    throw error
  }
  files.syncFolder(folder)
}
