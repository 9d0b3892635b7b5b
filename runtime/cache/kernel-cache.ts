// Compiled kernels on disk, one folder per target, one file per kernel. Two promises: what `get` returns is byte for
// byte what a compiler made for exactly that key, and a cache that is damaged, full, read-only or shared with other
// processes costs a warning or a recompile, never a wrong kernel or a failed run.
//
// entry.ts has the bytes of an entry, entry-store.ts reads and writes one, build-once.ts keeps two from compiling the same,
// inventory.ts goes through all, remove.ts takes away.
import { buildOnce, type GetOrBuild } from './build-once.ts'
import { type CacheFolders, quietly, warnOnce } from './cache-folders.ts'
import { type EntryStore, openEntryStore } from './entry-store.ts'
import { type FileLayer, realFiles } from './file-layer.ts'
import { cacheInventory, type Inventory } from './inventory.ts'
import { type ClearedEntries, clearCache, pruneCache, type Removed } from './remove.ts'
import { cacheRoot, readOnlyCacheRoots } from './root.ts'

export type { Entry, SelfCheck } from './entry.ts'
export type { Built, KeyInput } from './entry-store.ts'
export type { CacheRow, VerifiedRow } from './inventory.ts'
export type { KernelResources } from './kernel-resources.ts'

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

export interface KernelCache extends Omit<EntryStore, 'prepare'>, Inventory {
  readonly root: string
  readonly readOnly: readonly string[]
  readonly maxBytes: number
  /** the entry, built at most once by all processes together; a failing build's error passes through */
  readonly getOrBuild: GetOrBuild
  /** removes leftovers of crashes and, longest unused first, what exceeds `maxBytes` */
  prune(maxBytes?: number): Removed
  /** removes every entry of the writable folder, those of one target, or those whose last self-check failed */
  clear(which?: ClearedEntries): Removed
}

const putsBetweenPrunes = 64

export function openKernelCache(options: KernelCacheOptions = {}): KernelCache {
  const { maxBytes = 2 * 2 ** 30, lockTimeoutMs } = options
  const folders: CacheFolders = {
    root: options.root ?? cacheRoot(),
    readOnly: options.readOnly ?? readOnlyCacheRoots(),
    files: options.files ?? realFiles,
    warn: warnOnce(options.onWarning),
  }
  let puts = 0
  const store = openEntryStore(folders, () => {
    if (puts++ % putsBetweenPrunes === 0) quietly(() => pruneCache(folders, maxBytes))
  })
  const { get, put, setSelfCheck } = store
  const inventory = cacheInventory(folders)
  return {
    root: folders.root,
    readOnly: folders.readOnly,
    maxBytes,
    get,
    put,
    setSelfCheck,
    getOrBuild: buildOnce(folders, store, lockTimeoutMs),
    ...inventory,
    prune: (limit = maxBytes) => pruneCache(folders, limit),
    clear: (which) => clearCache(folders, inventory, which),
  }
}
