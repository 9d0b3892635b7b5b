// Where things live that may be thrown away and made again: compiled kernels, the host library, unpacked compilers.

import { delimiter, isAbsolute, join } from 'node:path'
import envPaths from 'env-paths'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The writable cache folder: `ROCMFORGE_CACHE_DIR`, else `$XDG_CACHE_HOME/rocmforge` or what the system uses in its
 * place. It need not exist.
 */
export function cacheRoot(env: Environment = process.env): string {
  const chosen = env['ROCMFORGE_CACHE_DIR']
  if (chosen) return chosen
  const xdg = env['XDG_CACHE_HOME']
  if (xdg && isAbsolute(xdg)) return join(xdg, 'rocmforge') // the XDG specification has relative paths ignored
  return envPaths('rocmforge', { suffix: '' }).cache
}

/** Read-only caches that stand behind the writable one, in order: `ROCMFORGE_CACHE_DIRS`, separated as PATH is. */
export function readOnlyCacheRoots(env: Environment = process.env): string[] {
  return (env['ROCMFORGE_CACHE_DIRS'] ?? '').split(delimiter).filter((folder) => folder !== '')
}
