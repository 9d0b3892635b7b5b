// Compiled kernels on disk, one folder per target, one file per kernel. Two promises: what `get` returns is byte for
// byte what a compiler made for exactly that key, and a cache that is damaged, full, read-only or shared with other
// processes costs a warning or a recompile, never a wrong kernel or a failed run.
//
// Entry files (cache-entry.ts) are written to a temporary name, synced and renamed; a lock file per key keeps two
// processes from compiling the same kernel at once; a damaged entry is removed and made again.
import { join } from 'node:path'
import {
  decodeEntry,
  type Entry,
  type EntryHeader,
  encodeEntry,
  isKey,
  isTargetFolder,
  type KeyParts,
  keyOf,
  type SelfCheck,
  targetFolder,
} from './entry.ts'
import { errorCode, type FileLayer, realFiles, temporarySuffix, writeAtomically } from './file-layer.ts'
import { takeLock } from './process-lock.ts'
import { cacheRoot, readOnlyCacheRoots } from './root.ts'

export type { Entry, KernelResources, SelfCheck } from './entry.ts'

/** What decides a kernel's bytes; `source` is the sha256 of its text. */
export type KeyInput = Omit<KeyParts, 'schema'>
/** What a build gives besides the key. */
export type Built = Omit<EntryHeader, 'parts'> & { readonly image: Uint8Array }

export interface KernelCacheOptions {
  /** writable folder; default `cacheRoot()` */
  readonly root?: string
  /** folders behind it, in order; default `readOnlyCacheRoots()` */
  readonly readOnly?: readonly string[]
  /** size at which the entries used longest ago go; default 2 GiB */
  readonly maxBytes?: number
  /** gets each warning once; default: a line on standard error */
  readonly onWarning?: (message: string) => void
  /** for tests */
  readonly files?: FileLayer
  /** how long to wait for another process's compile; default 5 minutes */
  readonly lockTimeoutMs?: number
}

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

export interface KernelCache {
  readonly root: string
  readonly readOnly: readonly string[]
  readonly maxBytes: number
  /** looks in the writable folder, then behind it; checks every byte */
  get(parts: KeyInput): Entry | undefined
  /** an entry of this source text (its sha256) for a target, whichever compiler made it */
  findSource(targetId: string, source: string): Entry | undefined
  /** stores what a build gave; false (and a warning) when that is not possible */
  put(parts: KeyInput, built: Built): boolean
  /** the entry, built at most once by all processes together; a failing build's error passes through */
  getOrBuild(
    parts: KeyInput,
    build: () => Promise<Built>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<{ entry: Entry; fromCache: boolean }>
  /** remembers what the check on a device found; false when there is no such entry or it cannot be written */
  setSelfCheck(parts: KeyInput, outcome: SelfCheck): boolean
  list(): CacheRow[]
  /** reads and checks every entry; `remove` deletes the damaged ones of the writable folder */
  verify(options?: { readonly remove?: boolean }): VerifiedRow[]
  /** removes leftovers of crashes and, longest unused first, what exceeds `maxBytes` */
  prune(maxBytes?: number): { removed: number; bytes: number }
  /** removes every entry of the writable folder, those of one target, or those whose last self-check failed */
  clear(which?: { readonly target?: string | undefined; readonly failed?: boolean }): { removed: number; bytes: number }
}

const suffix = '.kernel'
const lockSuffix = '.lock'
/** Leftovers younger than this may belong to a process at work. */
const leftoverMs = 60 * 60_000
/** Access times are kept to this precision: a hit should not write each time. */
const touchMs = 60 * 60_000
const putsBetweenPrunes = 64

export function openKernelCache(options: KernelCacheOptions = {}): KernelCache {
  const root = options.root ?? cacheRoot()
  const readOnly = options.readOnly ?? readOnlyCacheRoots()
  const maxBytes = options.maxBytes ?? 2 * 2 ** 30
  const files = options.files ?? realFiles
  const warned = new Set<string>()
  const building = new Map<string, Promise<{ entry: Entry; fromCache: boolean }>>()
  const bySource = new Map<string, Map<string, Entry>>()
  let puts = 0

  function warn(message: string): void {
    if (warned.has(message)) return
    warned.add(message)
    if (options.onWarning) options.onWarning(message)
    else process.stderr.write(`warning: ${message}\n`)
  }

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
    const path = join(base, folder, key + suffix)
    let found: Entry | string
    try {
      const bytes = files.read(path)
      if (!bytes) return undefined
      found = base === root && !ownerTrusted(path) ? 'owned by another user' : decodeEntry(bytes, { key, folder })
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

  /** Code of a stranger is not run: an entry belongs to us, to root or to the owner of the whole cache. */
  function ownerTrusted(path: string): boolean {
    const uid = process.getuid?.()
    const owner = files.stat(path)?.uid
    return uid === undefined || owner === undefined || owner === 0 || owner === uid || owner === files.stat(root)?.uid
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
      writeAtomically(files, folder, key + suffix, encodeEntry({ ...header, parts: { schema: 1, ...parts } }, image))
    } catch (error) {
      if (errorCode(error) === '') throw error // ours, not the file system's
      warn(
        `cannot write the kernel cache ${root} (${errorCode(error)}); kernels are compiled again next time; ROCMFORGE_CACHE_DIR names another folder`,
      )
      return false
    }
    if (puts++ % putsBetweenPrunes === 0) quietly(() => prune())
    return true
  }

  /** Makes a target's folder; refuses a link in its place, which could lead into another program's files. */
  function prepare(folder: string): void {
    const stats = files.stat(folder)
    if (stats?.isDirectory()) return
    if (stats) throw Object.assign(new Error('not a folder'), { code: stats.isSymbolicLink() ? 'ELOOP' : 'ENOTDIR' })
    files.mkdir(folder)
  }

  async function build(
    parts: KeyInput,
    make: () => Promise<Built>,
    signal?: AbortSignal,
  ): Promise<{ entry: Entry; fromCache: boolean }> {
    const cached = get(parts)
    if (cached) return { entry: cached, fromCache: true }
    const key = keyOf(parts)
    const folder = join(root, targetFolder(parts.target))
    quietly(() => prepare(folder)) // else the lock cannot be had, and put() tells why
    const entryPath = join(folder, key + suffix)
    const lock = await takeLock(files, join(folder, key + lockSuffix), {
      done: () => quietly(() => files.stat(entryPath)) !== undefined,
      ...(options.lockTimeoutMs === undefined ? {} : { lockTimeoutMs: options.lockTimeoutMs }),
      ...(signal ? { signal } : {}),
    })
    try {
      const other = get(parts) // made while we waited
      if (other) return { entry: other, fromCache: true }
      const built = await make()
      put(parts, built)
      return { entry: { ...built, key, parts: { schema: 1, ...parts } }, fromCache: false }
    } finally {
      if (typeof lock === 'function') lock()
    }
  }

  function getOrBuild(
    parts: KeyInput,
    make: () => Promise<Built>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<{ entry: Entry; fromCache: boolean }> {
    const key = keyOf(parts)
    const running = building.get(key)
    if (running) {
      return running.catch((error) => {
        const theirs = error?.name === 'AbortError' && !signal?.aborted
        if (!theirs) throw error
        return getOrBuild(parts, make, signal ? { signal } : {}) // who began it gave up; we did not
      })
    }
    const started = build(parts, make, signal).finally(() => building.delete(key))
    building.set(key, started)
    return started
  }

  function setSelfCheck(parts: KeyInput, outcome: SelfCheck): boolean {
    const entry = get(parts)
    if (!entry) return false
    const { key: _, parts: __, ...built } = entry
    return put(parts, { ...built, selfCheck: outcome }) // into the writable folder
  }

  function rowsOf(base: string): CacheRow[] {
    const writable = base === root
    return files
      .list(base)
      .filter(isTargetFolder)
      .filter((folder) => files.stat(join(base, folder))?.isDirectory())
      .flatMap((folder) =>
        files.list(join(base, folder)).flatMap((name) => {
          const key = name.slice(0, -suffix.length)
          if (!name.endsWith(suffix) || !isKey(key)) return []
          const path = join(base, folder, name)
          const stats = files.stat(path)
          if (!stats) return [] // removed by another process meanwhile
          const { size, mtime, atime } = stats
          return [{ root: base, writable, folder, key, path, bytes: size, createdAt: mtime, usedAt: atime }]
        }),
      )
  }

  const list = (): CacheRow[] => [root, ...readOnly].flatMap((base) => quietly(() => rowsOf(base)) ?? [])

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
      if (row.writable && !ownerTrusted(row.path)) return { ...row, damage: 'owned by another user' }
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

  function removeRows(rows: readonly CacheRow[]): { removed: number; bytes: number } {
    const gone = rows.filter((row) => {
      quietly(() => files.unlink(row.path))
      return quietly(() => files.stat(row.path)) === undefined
    })
    return { removed: gone.length, bytes: gone.reduce((sum, row) => sum + row.bytes, 0) }
  }

  function prune(limit = maxBytes): { removed: number; bytes: number } {
    removeLeftovers()
    const rows = quietly(() => rowsOf(root)) ?? []
    const now = Date.now() // a clock set back leaves times of the future: those count as now
    rows.sort((a, b) => Math.min(now, a.usedAt.getTime()) - Math.min(now, b.usedAt.getTime()))
    let total = rows.reduce((sum, row) => sum + row.bytes, 0)
    const surplus = rows.filter((row) => {
      if (total <= limit) return false
      total -= row.bytes
      return true
    })
    return removeRows(surplus)
  }

  /** Temporary files and locks whose owner cannot still be at work. */
  function removeLeftovers(): void {
    for (const folder of files.list(root).filter(isTargetFolder)) {
      for (const name of files.list(join(root, folder))) {
        if (!name.endsWith(temporarySuffix) && !name.includes(lockSuffix)) continue
        const path = join(root, folder, name)
        const stats = files.stat(path)
        if (stats && Math.abs(Date.now() - stats.mtimeMs) > leftoverMs) quietly(() => files.unlink(path))
      }
    }
  }

  function clear({ target, failed = false }: { readonly target?: string | undefined; readonly failed?: boolean } = {}) {
    const rows = (failed ? verify() : list()).filter(
      (row) => row.writable && (target === undefined || row.folder === targetFolder(target)),
    )
    const isFailed = (row: CacheRow | VerifiedRow) => 'entry' in row && row.entry.selfCheck?.outcome === 'failed'
    return removeRows(failed ? rows.filter(isFailed) : rows)
  }

  return { root, readOnly, maxBytes, get, findSource, put, getOrBuild, setSelfCheck, list, verify, prune, clear }
}

/** For work that may fail without harm: removals, access times, pruning. */
function quietly<T>(action: () => T): T | undefined {
  try {
    return action()
  } catch (error) {
    if (errorCode(error) === '') throw error
    return undefined
  }
}
