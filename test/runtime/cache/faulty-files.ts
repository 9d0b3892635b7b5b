// A file layer that fails where a test says so. It counts the operations that change something; at the chosen one it
// stops as a killed process or a lost machine would (bytes not yet synced are lost, wholly or in half), or reports an
// error as a full or read-only disk does.
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import type { FileLayer } from '../../../runtime/cache/file-layer.ts'
import { realFiles } from '../../../runtime/cache/file-layer.ts'

export interface Fault {
  /** which changing operation, from 0 */
  readonly at: number
  /** 'crash': this and all later operations do nothing; 'error': only this one fails, with `code` */
  readonly kind: 'crash' | 'error'
  readonly code?: string
  /** share of unsynced bytes that reach the disk before a crash */
  readonly kept?: number
}

const error = (code: string): Error => Object.assign(new Error(code), { code })

export function faultyFiles(fault: Fault): FileLayer & { readonly steps: string[] } {
  const steps: string[] = []
  const paths = new Map<number, string>()
  const unsynced = new Map<string, number>() // path → bytes on disk at the last sync
  let dead = false

  /** Loss of power: each file falls back to what was synced, or part of what came after. */
  function crash(): never {
    dead = true
    for (const [path, synced] of unsynced) {
      const size = readFileSync(path).length
      truncateSync(path, synced + Math.floor((size - synced) * (fault.kept ?? 0)))
    }
    throw error('ECRASH')
  }

  function step<T>(name: string, action: () => T): T {
    if (dead) throw error('ECRASH')
    const index = steps.push(name) - 1
    if (index === fault.at) {
      if (fault.kind === 'crash') crash()
      throw error(fault.code ?? 'EIO')
    }
    return action()
  }

  return {
    ...realFiles,
    steps,
    mkdir: (folder) => step('mkdir', () => realFiles.mkdir(folder)),
    create: (path) =>
      step('create', () => {
        const fd = realFiles.create(path)
        paths.set(fd, path)
        unsynced.set(path, 0)
        return fd
      }),
    write: (fd, bytes) => {
      if (!dead && steps.length === fault.at) realFiles.write(fd, bytes.subarray(0, bytes.length >> 1))
      step('write', () => realFiles.write(fd, bytes))
    },
    sync: (fd) =>
      step('sync', () => {
        realFiles.sync(fd)
        unsynced.delete(paths.get(fd)!)
      }),
    close: (fd) => {
      realFiles.close(fd) // never leak in the test process
      step('close', () => {})
    },
    rename: (from, to) =>
      step('rename', () => {
        realFiles.rename(from, to)
        const synced = unsynced.get(from)
        if (synced !== undefined) {
          unsynced.delete(from)
          unsynced.set(to, synced)
        }
      }),
    link: (from, to) => step('link', () => realFiles.link(from, to)),
    syncFolder: (folder) => step('syncFolder', () => realFiles.syncFolder(folder)),
    unlink: (path) =>
      step('unlink', () => {
        realFiles.unlink(path)
        unsynced.delete(path)
      }),
    touch: (path, atime, mtime) => step('touch', () => realFiles.touch(path, atime, mtime)),
  }
}

/** A file system where every change fails with `code`; reading works. */
export function refusingFiles(code: string): FileLayer {
  const refuse = (): never => {
    throw error(code)
  }
  return {
    ...realFiles,
    mkdir: refuse,
    create: refuse,
    rename: refuse,
    link: refuse,
    unlink: refuse,
    touch: refuse,
  }
}

/** Inverts one byte of a file. */
export function flipByte(path: string, at: number): void {
  const bytes = readFileSync(path)
  bytes[at] = bytes[at]! ^ 0xff
  writeFileSync(path, bytes)
}
