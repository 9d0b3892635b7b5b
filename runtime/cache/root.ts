// Where things live that may be thrown away and made again: compiled kernels, the host library, unpacked compilers.

import { existsSync, lstatSync, mkdirSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { delimiter, isAbsolute, join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The user's home folder; undefined where there is none: a user id without an entry in the password file and without
 * HOME (`docker run --user 1234`), for which Node's own function throws.
 */
export function homeFolder(env: Environment = process.env): string | undefined {
  const named = env[process.platform === 'win32' ? 'USERPROFILE' : 'HOME']
  if (named && isAbsolute(named)) return named
  try {
    return homedir() || undefined
  } catch {
    return undefined
  }
}

/** `~/models` → `/home/jo/models`, which no shell did in quotes or behind `=`; unless a folder `~` is there. */
export function expandHome(path: string, env: Environment = process.env): string {
  if (!/^~(?:[/\\]|$)/.test(path) || existsSync(path)) return path
  const home = homeFolder(env)
  if (home === undefined)
    return fail({
      code: 'no-home-folder',
      message: '`~` stands for a home folder, and this user has none',
      facts: [['path', path]],
      help: 'give the whole path, or set HOME',
    })
  return join(home, path.slice(1))
}

/**
 * The writable cache folder: `ROCMFORGE_CACHE_DIR`, else `$XDG_CACHE_HOME/rocmforge` or what the system uses in its
 * place, below the home folder; without a home, a folder of this user among temporary files. It need not exist.
 */
export function cacheRoot(env: Environment = process.env): string {
  const chosen = env['ROCMFORGE_CACHE_DIR']
  if (chosen) return expandHome(chosen, env)
  const xdg = env['XDG_CACHE_HOME']
  if (xdg && isAbsolute(xdg)) return join(xdg, 'rocmforge') // the XDG specification has relative paths ignored
  if (process.platform === 'win32' && env['LOCALAPPDATA']) return join(env['LOCALAPPDATA'], 'rocmforge', 'Cache')
  const home = homeFolder(env)
  // containers give a user without a home the root folder, which only root may write
  if (home === undefined || (home === '/' && process.getuid?.() !== 0)) return privateTemporaryFolder()
  if (process.platform === 'win32') return join(home, 'AppData', 'Local', 'rocmforge', 'Cache')
  return join(home, ...(process.platform === 'darwin' ? ['Library', 'Caches'] : ['.cache']), 'rocmforge')
}

/** Read-only caches that stand behind the writable one, in order: `ROCMFORGE_CACHE_DIRS`, separated as PATH is. */
export function readOnlyCacheRoots(env: Environment = process.env): string[] {
  return (env['ROCMFORGE_CACHE_DIRS'] ?? '')
    .split(delimiter)
    .filter((folder) => folder !== '')
    .map((folder) => expandHome(folder, env))
}

/** Folder of unpacked compilers, one subfolder a release: `ROCMFORGE_TOOLCHAINS`, else `toolchains` in the cache. */
export const toolchainRoot = (env: Environment = process.env): string =>
  expandHome(env['ROCMFORGE_TOOLCHAINS'] || join(cacheRoot(env), 'toolchains'), env)

/**
 * `rocmforge-1234` in the folder of temporary files, made at once and for this user alone: what others could write there
 * would be loaded as code.
 * Throws the Diagnostic `no-cache-folder` where another's folder, a link or a file has the name.
 */
export function privateTemporaryFolder(uid = process.getuid?.() ?? 0, above = tmpdir()): string {
  const folder = join(above, `rocmforge-${uid}`)
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return folder // nothing is kept: no disk to write
    const { mode, uid: owner } = lstatSync(folder)
    const isOurs = (mode & 0o170000) === 0o040000 && owner === uid && (mode & 0o022) === 0
    if (!isOurs)
      fail(
        {
          code: 'no-cache-folder',
          message: 'there is no home folder, and the folder for temporary files cannot be trusted with a cache',
          facts: [
            ['folder', folder],
            ['expected', `a folder that only user ${uid} may write`],
          ],
          help: 'set ROCMFORGE_CACHE_DIR to a folder of this user, or set HOME',
        },
        error,
      )
  }
  return folder
}
