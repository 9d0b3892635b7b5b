// All entries of a cache: listed, checked, found by their source, removed.
import { join } from 'node:path'
import { type CacheFolders, entrySuffix, ownerTrusted, quietly } from './cache-folders.ts'
import { decodeEntry, type Entry, isKey, isTargetFolder, targetFolder } from './entry.ts'
import { errorCode } from './file-layer.ts'

/** A file of the cache, as `list` and `verify` see it. */
export interface CacheRow {
  readonly root: string
  readonly writable: boolean
  /** folder name: the target's id with `.` for `:` */
  readonly folder: string
  readonly key: string
  readonly path: string
  readonly bytes: number
  readonly createdAt: Date
  readonly usedAt: Date
}
/** An entry's row with its content, or with what is wrong. */
export type VerifiedRow = CacheRow & ({ readonly entry: Entry } | { readonly damage: string })

export interface Inventory {
  list(): CacheRow[]
  /** reads and checks every entry; `remove` deletes the damaged ones of the writable folder */
  verify(options?: { readonly remove?: boolean }): VerifiedRow[]
  /** an entry of this source text (its sha256) for a target, whichever compiler made it */
  findSource(targetId: string, source: string): Entry | undefined
}

export function cacheInventory(folders: CacheFolders): Inventory {
  const { root, readOnly, files } = folders
  const bySource = new Map<string, Map<string, Entry>>()

  const list = (): CacheRow[] => [root, ...readOnly].flatMap((base) => quietly(() => rowsOf(folders, base)) ?? [])

  function verify({ remove = false }: { remove?: boolean } = {}): VerifiedRow[] {
    return list().map((row) => {
      const checked = check(row)
      if ('damage' in checked && remove && row.writable) quietly(() => files.unlink(row.path))
      return checked
    })
  }

  function check(row: CacheRow): VerifiedRow {
    try {
      const bytes = files.read(row.path)
      if (!bytes) return { ...row, damage: 'not a regular file' }
      if (row.writable && !ownerTrusted(folders, row.path)) return { ...row, damage: 'owned by another user' }
      const found = decodeEntry(bytes, row)
      return typeof found === 'string' ? { ...row, damage: found } : { ...row, entry: found }
    } catch (error) {
      return { ...row, damage: `cannot be read (${errorCode(error)})` }
    }
  }

  /** Reads a target's folder once: this is for machines without a compiler, whose caches do not change. */
  function findSource(targetId: string, source: string): Entry | undefined {
    let entries = bySource.get(targetId)
    if (!entries) {
      const rows = list().filter(({ folder }) => folder === targetFolder(targetId))
      entries = new Map(rows.map(check).flatMap((row) => ('entry' in row ? [[row.entry.parts.source, row.entry]] : [])))
      bySource.set(targetId, entries)
    }
    return entries.get(source)
  }

  return { list, verify, findSource }
}

/** The entries of one folder of the cache. */
export function rowsOf({ root, files }: CacheFolders, base: string): CacheRow[] {
  const writable = base === root
  return files
    .list(base)
    .filter(isTargetFolder)
    .filter((folder) => files.stat(join(base, folder))?.isDirectory())
    .flatMap((folder) =>
      files.list(join(base, folder)).flatMap((name) => {
        const key = name.slice(0, -entrySuffix.length)
        if (!name.endsWith(entrySuffix) || !isKey(key)) return []
        const path = join(base, folder, name)
        const stats = files.stat(path)
        if (!stats) return [] // removed by another process meanwhile
        const { size, mtime, atime } = stats
        return [{ root: base, writable, folder, key, path, bytes: size, createdAt: mtime, usedAt: atime }]
      }),
    )
}
