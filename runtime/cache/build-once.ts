// A kernel is built at most once: callers of one process share the build, and a lock file per key keeps other processes
// waiting for the entry.
import { join } from 'node:path'
import { type CacheFolders, entrySuffix, lockSuffix, quietly } from './cache-folders.ts'
import { type Entry, keyOf, targetFolder } from './entry.ts'
import type { Built, EntryStore, KeyInput } from './entry-store.ts'
import { takeLock } from './process-lock.ts'

interface FoundEntry {
  readonly entry: Entry
  readonly fromCache: boolean
}

/** Gets the entry of `parts`, or makes it; a failing build's error passes through. */
export type GetOrBuild = (
  parts: KeyInput,
  make: () => Promise<Built>,
  options?: { readonly signal?: AbortSignal },
) => Promise<FoundEntry>

/** `lockTimeoutMs`: how long to wait for another process's compile. */
export function buildOnce({ root, files }: CacheFolders, store: EntryStore, lockTimeoutMs?: number): GetOrBuild {
  const building = new Map<string, Promise<FoundEntry>>()

  async function build(parts: KeyInput, make: () => Promise<Built>, signal?: AbortSignal): Promise<FoundEntry> {
    const cached = store.get(parts)
    if (cached) return { entry: cached, fromCache: true }
    const key = keyOf(parts)
    const folder = join(root, targetFolder(parts.target))
    quietly(() => store.prepare(folder)) // else the lock cannot be had, and `put` tells why
    const entryPath = join(folder, key + entrySuffix)
    const lock = await takeLock(files, join(folder, key + lockSuffix), {
      done: () => quietly(() => files.stat(entryPath)) !== undefined,
      ...(lockTimeoutMs === undefined ? {} : { lockTimeoutMs }),
      ...(signal ? { signal } : {}),
    })
    try {
      const other = store.get(parts) // made while we waited
      if (other) return { entry: other, fromCache: true }
      const built = await make()
      store.put(parts, built)
      return { entry: { ...built, key, parts: { schema: 1, ...parts } }, fromCache: false }
    } finally {
      if (typeof lock === 'function') lock()
    }
  }

  function getOrBuild(
    parts: KeyInput,
    make: () => Promise<Built>,
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<FoundEntry> {
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

  return getOrBuild
}
