// Releases of hipRTC, and NVRTC, unpacked into a folder without installing anything. The compile service runs them under
// the C library of that folder, so that the machine's own release does not matter.
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { nearest } from '../../ir/near-match.ts'
import { makeFolder, realFiles } from '../cache/file-layer.ts'
import { takeLock } from '../cache/process-lock.ts'
import { toolchainRoot } from '../cache/root.ts'
import { type PackageProgress, type PackageSet, requireDebian, unpackPackages } from './debian-packages.ts'
import { keepLoadable } from './toolchain-folder.ts'

/** Debian's packages of each release, and the suites that hold them and what they need. */
const releases = {
  '6.4': { suites: ['sid'], packages: ['libhiprtc6', 'libamdhip64-6', 'libamd-comgr3'] },
  '7.2': {
    suites: ['sid', 'experimental'],
    packages: ['libhiprtc7', 'libamdhip64-7', 'libamd-comgr3'],
    pinned: 'libhiprtc* libamdhip64-* libhsa-runtime64-* libamd-comgr*',
  },
  '5.2': { suites: ['bookworm'], packages: ['libamdhip64-5', 'libamd-comgr2', 'libhiprtc-builtins5'] },
  nvrtc: { suites: ['sid'], components: 'main contrib non-free', packages: ['libnvrtc12', 'libnvrtc-builtins12.4'] },
} as const satisfies Readonly<Record<string, PackageSet>>

export type ToolchainRelease = keyof typeof releases

/** What each release is for; the first is the one that kernels are checked with. */
export const toolchainReleases: Readonly<Record<ToolchainRelease, string>> = {
  '6.4': 'hipRTC 6.4: AMD GPUs to gfx1201, the release that every kernel is checked with',
  '7.2': 'hipRTC 7.2: AMD GPUs, gfx1250 too',
  '5.2': 'hipRTC 5.2: AMD GPUs to gfx103x, for old drivers',
  nvrtc: 'NVRTC 12.4: NVIDIA GPUs',
}

export interface UnpackedToolchain {
  readonly release: ToolchainRelease
  readonly folder: string
  /** it was there already, and nothing was fetched */
  readonly wasThere: boolean
  /** of the packages' files, and of the folder; undefined for folders of earlier versions, which do not say */
  readonly downloadBytes?: number
  readonly bytes?: number
}

interface ToolchainOptions {
  /** folder that gets a subfolder a release; default `toolchainRoot()`, where compilers are looked for */
  readonly into?: string
  /** fetch again what is there */
  readonly force?: boolean
  readonly signal?: AbortSignal
  readonly onProgress?: (release: ToolchainRelease, progress: PackageProgress) => void
}

/** Throws the Diagnostic `unknown-toolchain`. */
export function findRelease(name: string): ToolchainRelease {
  if (Object.hasOwn(releases, name)) return name as ToolchainRelease
  const names = Object.keys(releases)
  const [meant] = /^(?:cuda|nvidia|libnvrtc)/i.test(name)
    ? ['nvrtc']
    : nearest(name.replace(/^v|^rocm-?|^hiprtc-?/i, ''), names, 1)
  return fail({
    code: 'unknown-toolchain',
    message: `there is no toolchain ${name.slice(0, 40)}`,
    facts: [['toolchains', names.join(', ')]],
    help: `did you mean ${meant}? rocmforge toolchain lists them`,
  })
}

/** What lies complete in a folder of toolchains. */
export function unpackedToolchain(release: ToolchainRelease, into = toolchainRoot()): UnpackedToolchain | undefined {
  const folder = join(resolve(into), release)
  const file = join(folder, 'complete.json')
  if (!existsSync(file)) return undefined
  const { downloadBytes, bytes } = JSON.parse(readFileSync(file, 'utf8'))
  return { release, folder, wasThere: true, ...(bytes ? { downloadBytes, bytes } : {}) }
}

/**
 * Brings a release into a folder; whoever sees the folder sees all of it. Errors: `no-debian` where Debian's packages
 * cannot be had, `package-download`, `cannot-write`.
 */
export async function provideToolchain(
  release: ToolchainRelease,
  options: ToolchainOptions = {},
): Promise<UnpackedToolchain> {
  const root = resolve(options.into ?? toolchainRoot())
  const present = () => (options.force ? undefined : unpackedToolchain(release, root))
  const known = present()
  if (known) return known
  await requireDebian()
  makeRoot(root)
  const lock = await takeLock(realFiles, join(root, `.${release}.lock`), {
    done: () => present() !== undefined,
    lockTimeoutMs: 3600_000,
    ...(options.signal ? { signal: options.signal } : {}),
  })
  try {
    return present() ?? (await fetchRelease(release, root, options)) // another process may have been faster
  } finally {
    if (typeof lock === 'function') lock()
  }
}

async function fetchRelease(
  release: ToolchainRelease,
  root: string,
  { signal, onProgress }: ToolchainOptions,
): Promise<UnpackedToolchain> {
  const folder = join(root, release)
  const state = join(root, `.${release}.partial`)
  const fresh = join(state, 'root')
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh, { recursive: true })
  const { archives, bytes: downloadBytes } = await unpackPackages(releases[release], {
    state,
    into: fresh,
    ...(signal ? { signal } : {}),
    onProgress: (progress) => onProgress?.(release, progress),
  })
  keepLoadable(fresh)
  const bytes = bytesBelow(fresh)
  const note = { release, downloadBytes, bytes, packages: archives }
  writeFileSync(join(fresh, 'complete.json'), `${JSON.stringify(note, null, 2)}\n`)
  const old = join(state, 'old')
  rmSync(old, { recursive: true, force: true })
  if (existsSync(folder)) renameSync(folder, old)
  renameSync(fresh, folder)
  rmSync(state, { recursive: true, force: true })
  return { release, folder, wasThere: false, downloadBytes, bytes }
}

function makeRoot(root: string): void {
  try {
    makeFolder(root)
  } catch (error) {
    fail(
      {
        code: 'cannot-write',
        message: 'the folder of toolchains cannot be made',
        facts: [
          ['folder', root],
          ['cause', error instanceof Error ? error.message : String(error)],
        ],
        help: 'name another with --into, or in ROCMFORGE_TOOLCHAINS',
      },
      error,
    )
  }
}

/** Bytes of the files below a folder, links not followed. */
function bytesBelow(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => {
    const path = join(folder, name)
    const stats = lstatSync(path)
    return sum + (stats.isDirectory() ? bytesBelow(path) : stats.isFile() ? stats.size : 0)
  }, 0)
}
