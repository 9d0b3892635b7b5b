// Entries by key: read with every byte checked, written to a temporary name, synced and renamed.
import { join } from 'node:path'
import { type CacheFolders, entrySuffix, ownerTrusted, quietly } from './cache-folders.ts'
import {
  decodeEntry,
  type Entry,
  type EntryHeader,
  encodeEntry,
  type KeyParts,
  keyOf,
  type SelfCheck,
  targetFolder,
} from './entry.ts'
import { errorCode, writeAtomically } from './file-layer.ts'

/** What decides a kernel's bytes; `source` is the sha256 of its text. */
export type KeyInput = Omit<KeyParts, 'schema'>
/** What a build gives besides the key. */
export type Built = Omit<EntryHeader, 'parts'> & { readonly image: Uint8Array }

export interface EntryStore {
  /** looks in the writable folder, then behind it; checks every byte */
  get(parts: KeyInput): Entry | undefined
  /** stores what a build gave; false (and a warning) when that is not possible */
  put(parts: KeyInput, built: Built): boolean
  /** remembers what the check on a device found; false when there is no such entry or it cannot be written */
  setSelfCheck(parts: KeyInput, outcome: SelfCheck): boolean
  /** makes a target's folder; throws where that is not possible */
  prepare(folder: string): void
}

/** Access times are kept to this precision: a hit should not write each time. */
const touchMs = 60 * 60_000

/** `onPut` is called after each entry that was written. */
export function openEntryStore(folders: CacheFolders, onPut: () => void): EntryStore {
  const { root, readOnly, files, warn } = folders

  function get(parts: KeyInput): Entry | undefined {
    const key = keyOf(parts)
    const folder = targetFolder(parts.target)
    for (const base of [root, ...readOnly]) {
      const entry = readFrom(base, folder, key)
      if (entry) return entry
    }
    return undefined
  }

  function readFrom(base: string, folder: string, key: string): Entry | undefined {
    const path = join(base, folder, key + entrySuffix)
    let found: Entry | string
    try {
      const bytes = files.read(path)
      if (!bytes) return undefined
      found =
        base === root && !ownerTrusted(folders, path) ? 'owned by another user' : decodeEntry(bytes, { key, folder })
    } catch (error) {
      warn(`cannot read the kernel cache ${base} (${errorCode(error)}); its kernels are compiled again`)
      return undefined
    }
    if (typeof found !== 'string') {
      if (base === root) touch(path)
      return found
    }
    warn(`cached kernel ${path} is unusable (${found}); it is compiled again`)
    if (base === root) quietly(() => files.unlink(path))
    return undefined
  }

  function touch(path: string): void {
    quietly(() => {
      const stats = files.stat(path)
      if (stats && Math.abs(Date.now() - stats.atimeMs) > touchMs) files.touch(path, new Date(), stats.mtime)
    })
  }

  function put(parts: KeyInput, built: Built): boolean {
    const { image, ...header } = built
    const key = keyOf(parts)
    const folder = join(root, targetFolder(parts.target))
    try {
      prepare(folder)
      writeAtomically(
        files,
        folder,
        key + entrySuffix,
        encodeEntry({ ...header, parts: { schema: 1, ...parts } }, image),
      )
    } catch (error) {
      if (errorCode(error) === '') throw error // ours, not the file system's
      warn(
        `cannot write the kernel cache ${root} (${errorCode(error)}); kernels are compiled again next time; ROCMFORGE_CACHE_DIR names another folder`,
      )
      return false
    }
    onPut()
    return true
  }

  /** Makes a target's folder; refuses a link in its place, which could lead into another program's files. */
  function prepare(folder: string): void {
    const stats = files.stat(folder)
    if (stats?.isDirectory()) return
    if (stats) throw Object.assign(new Error('not a folder'), { code: stats.isSymbolicLink() ? 'ELOOP' : 'ENOTDIR' })
    files.mkdir(folder)
  }

  function setSelfCheck(parts: KeyInput, outcome: SelfCheck): boolean {
    const entry = get(parts)
    if (!entry) return false
    const { key: _, parts: __, ...built } = entry
    return put(parts, { ...built, selfCheck: outcome }) // into the writable folder
  }

  return { get, put, setSelfCheck, prepare }
}
