// Files that we did not write, opened for reading: only regular files (a pipe would block for ever), every read
// bounded by the size seen at opening, and every failure a Diagnostic that names the file.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  read as readCallback,
  readdirSync,
  readSync,
  statSync,
} from 'node:fs'
import { promisify } from 'node:util'
import { Diagnostic, fail } from '../../ir/diagnostic.ts'

const readAsync = promisify(readCallback)

export interface SourceFile {
  readonly path: string
  /** bytes, when the file was opened */
  readonly size: number
  /** Fills `into` from byte `position` of the file; a Diagnostic if the file has become shorter. */
  readSync(into: Uint8Array, position: number): void
  read(into: Uint8Array, position: number): Promise<void>
  close(): void
}

/** Opens a regular file; the caller closes it. */
export function openSourceFile(path: string): SourceFile {
  if (kindOfPath(path) === 'folder')
    fail({
      code: 'not-a-file',
      message: 'a file was expected',
      facts: [
        ['file', path],
        ['got', 'a folder'],
      ],
    })
  const fd = attempt(path, () => openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)))
  const stats = attempt(path, () => fstatSync(fd))
  if (!stats.isFile()) {
    closeSync(fd)
    refuseSpecial(path) // it was replaced between the two looks
  }
  const { size } = stats
  let open = true

  /** Bytes of `into` that are filled, given one read; throws when the file gave none. */
  const progress = (done: number, count: number, position: number, wanted: number): number => {
    if (count === 0) {
      fail({
        code: 'file-changed',
        message: 'the file ended while it was being read',
        facts: [
          ['file', path],
          ['wanted', `${wanted} bytes at byte ${position}`],
          ['got', `${done} bytes; the file had ${size} bytes when it was opened`],
        ],
        help: 'do not change a model file while it is in use; load it again',
      })
    }
    return done + count
  }
  const requireOpen = (): void => {
    if (!open)
      fail({
        code: 'disposed',
        message: 'the checkpoint was disposed of, and its files are closed',
        facts: [['file', path]],
      })
  }
  return {
    path,
    size,
    readSync(into, position) {
      requireOpen()
      for (let done = 0; done < into.length; ) {
        const count = attempt(path, () => readSync(fd, into, done, into.length - done, position + done))
        done = progress(done, count, position, into.length)
      }
    },
    async read(into, position) {
      requireOpen()
      for (let done = 0; done < into.length; ) {
        const { bytesRead } = await readAsync(fd, into, done, into.length - done, position + done).catch((error) =>
          refuse(path, error),
        )
        done = progress(done, bytesRead, position, into.length)
      }
    },
    close() {
      if (open) closeSync(fd)
      open = false
    },
  }
}

/** What lies at `path`; anything but a regular file or a folder is refused. */
export function kindOfPath(path: string): 'file' | 'folder' {
  const stats = attempt(path, () => statSync(path))
  if (stats.isDirectory()) return 'folder'
  return stats.isFile() ? 'file' : refuseSpecial(path)
}

/** Whether a regular file lies at `path`. */
export const isRegularFile = (path: string): boolean =>
  attempt(path, () => !!statSync(path, { throwIfNoEntry: false })?.isFile())

/** Names of what a folder holds. */
export const namesIn = (folder: string): string[] => attempt(folder, () => readdirSync(folder))

/** A whole small file; one larger than `limit` bytes is refused before anything is allocated. */
export function readSmallFile(path: string, limit: number): Buffer {
  const file = openSourceFile(path)
  try {
    if (file.size > limit) {
      fail({
        code: 'file-too-large',
        message: 'the file is far larger than such a file can be',
        facts: [
          ['file', path],
          ['expected', `at most ${limit} bytes`],
          ['got', `${file.size} bytes`],
        ],
      })
    }
    const bytes = Buffer.alloc(file.size)
    file.readSync(bytes, 0)
    return bytes
  } finally {
    file.close()
  }
}

function attempt<T>(path: string, action: () => T): T {
  try {
    return action()
  } catch (error) {
    return refuse(path, error)
  }
}

function refuse(path: string, error: unknown): never {
  if (error instanceof Diagnostic) throw error
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    fail({ code: 'file-not-found', message: 'there is no such file or folder', facts: [['path', path]] }, error)
  }
  fail(
    {
      code: 'unreadable-file',
      message: 'the file cannot be read',
      facts: [
        ['file', path],
        ['reason', message],
      ],
    },
    error,
  )
}

function refuseSpecial(path: string): never {
  return fail({
    code: 'not-a-file',
    message: 'a regular file was expected',
    facts: [
      ['file', path],
      ['got', 'a pipe, socket or device'],
    ],
    help: 'write the model to a file first: weights are read from any place of the file, and more than once',
  })
}
