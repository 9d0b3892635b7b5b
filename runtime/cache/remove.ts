// What goes from a cache's writable folder: entries that nothing used for longest, leftovers of crashes, or all.
import { join } from 'node:path'
import { type CacheFolders, lockSuffix, quietly } from './cache-folders.ts'
import { isTargetFolder, targetFolder } from './entry.ts'
import { temporarySuffix } from './file-layer.ts'
import { type CacheRow, type Inventory, rowsOf, type VerifiedRow } from './inventory.ts'

export interface Removed {
  readonly removed: number
  readonly bytes: number
}

/** Leftovers younger than this may belong to a process at work. */
const leftoverMs = 60 * 60_000

function removeRows({ files }: CacheFolders, rows: readonly CacheRow[]): Removed {
  const gone = rows.filter((row) => {
    quietly(() => files.unlink(row.path))
    return quietly(() => files.stat(row.path)) === undefined
  })
  return { removed: gone.length, bytes: gone.reduce((sum, row) => sum + row.bytes, 0) }
}

/** Removes leftovers of crashes and, longest unused first, what exceeds `limit` bytes. */
export function pruneCache(folders: CacheFolders, limit: number): Removed {
  removeLeftovers(folders)
  const rows = quietly(() => rowsOf(folders, folders.root)) ?? []
  const now = Date.now() // a clock set back leaves times of the future: those count as now
  rows.sort((a, b) => Math.min(now, a.usedAt.getTime()) - Math.min(now, b.usedAt.getTime()))
  let total = rows.reduce((sum, row) => sum + row.bytes, 0)
  const surplus = rows.filter((row) => {
    if (total <= limit) return false
    total -= row.bytes
    return true
  })
  return removeRows(folders, surplus)
}

/** Temporary files and locks whose owner cannot still be at work. */
function removeLeftovers({ root, files }: CacheFolders): void {
  for (const folder of files.list(root).filter(isTargetFolder)) {
    for (const name of files.list(join(root, folder))) {
      if (!name.endsWith(temporarySuffix) && !name.includes(lockSuffix)) continue
      const path = join(root, folder, name)
      const stats = files.stat(path)
      if (stats && Math.abs(Date.now() - stats.mtimeMs) > leftoverMs) quietly(() => files.unlink(path))
    }
  }
}

/** Which entries of the writable folder `clear` removes: all, those of one target, those whose last self-check failed. */
export interface ClearedEntries {
  readonly target?: string | undefined
  readonly failed?: boolean
}

export function clearCache(
  folders: CacheFolders,
  { list, verify }: Inventory,
  { target, failed = false }: ClearedEntries = {},
): Removed {
  const rows = (failed ? verify() : list()).filter(
    (row) => row.writable && (target === undefined || row.folder === targetFolder(target)),
  )
  const isFailed = (row: CacheRow | VerifiedRow) => 'entry' in row && row.entry.selfCheck?.outcome === 'failed'
  return removeRows(folders, failed ? rows.filter(isFailed) : rows)
}
