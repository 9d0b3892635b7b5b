// Which run-time compilers this machine has: hipRTC and NVRTC as installed, and releases of them that
// `rocmforge toolchain` unpacked into folders, which run under the C library of their own folder. Nothing is loaded here:
// a warm start needs a compiler's identity, not the compiler.
import { closeSync, existsSync, openSync, readdirSync, readSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { sha256 } from '../cache/entry.ts'
import { toolchainRoot } from '../cache/root.ts'
import { type FoundLibrary, findHip, findNvrtc, type HipLibraries } from '../platform/discovery.ts'
import { systemFiles } from '../platform/file-view.ts'
import { glibcVersion, ownGlibcVersion } from '../platform/needed-libraries.ts'

type Environment = Readonly<Record<string, string | undefined>>

export interface Toolchain {
  readonly family: 'hiprtc' | 'nvrtc'
  /** as the file names say: `6.4.43484`, `12.4.127`; at least a major */
  readonly version: string
  /** where it was found, for people */
  readonly origin: string
  /** of hipRTC: the compiler and comgr are there */
  readonly hip?: HipLibraries
  readonly nvrtc?: FoundLibrary
  /** words that start a program under the toolchain's own C library; [] where the machine's own is as new */
  readonly launcher: readonly string[]
  /** name, version and build ids of its files: the part of a cache key that changes when the compiler does */
  readonly identity: string
}

/** First release of hipRTC that knows a target, where it is not every release; to choose one, not to refuse. */
const firstRelease: Readonly<Record<string, string>> = {
  gfx942: '6.0',
  gfx950: '6.4',
  gfx1100: '5.4',
  gfx1101: '5.4',
  gfx1102: '5.4',
  gfx1103: '5.5',
  gfx1150: '6.1',
  gfx1151: '6.1',
  gfx1152: '6.3',
  gfx1153: '6.4',
  gfx1200: '6.3',
  gfx1201: '6.3',
  gfx1250: '7.1',
}

/** The release that every kernel is checked with; the first choice among unpacked ones. */
const preferredRelease = '6.4'

/** `6.4` ≤ `6.4.43484`, `6.4` < `7.2`; missing numbers count as 0. */
export function atLeast(version: string, wanted: string): boolean {
  const [have, need] = [version, wanted].map((text) => text.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < need.length; i++) {
    if ((have[i] ?? 0) !== need[i]!) return (have[i] ?? 0) > need[i]!
  }
  return true
}

const isRelease = (version: string, release: string): boolean =>
  version === release || version.startsWith(`${release}.`)

/** `libhiprtc.so.6.4.43484` → `6.4.43484`; `hiprtc0602.dll` → `6.2`. */
export function versionInName(name: string): string | undefined {
  const dll = /(\d\d)(\d\d)\.dll$/i.exec(name)
  if (dll) return `${Number(dll[1])}.${Number(dll[2])}`
  return /\.so\.(\d+(?:\.\d+)*)$/.exec(name)?.[1]
}

let remembered: { env: string; found: Toolchain[] } | undefined

/** Every usable run-time compiler: installed ones first, then unpacked ones, the preferred release before newer ones. */
export function findToolchains(env: Environment = process.env): Toolchain[] {
  const relevant = JSON.stringify(Object.entries(env).filter(([name]) => /ROCM|HIP|CUDA|LD_|XDG|HOME|PATH/.test(name)))
  if (remembered?.env === relevant) return remembered.found
  const installed = hipToolchain(findHip(systemFiles(env)).found, 'installed', [])
  const nvrtc = findNvrtc(systemFiles(env)).found
  const found = [
    ...(installed ? [installed] : []),
    ...(nvrtc ? [nvrtcToolchain(nvrtc, 'installed', [])] : []),
    ...unpacked(env),
  ]
  remembered = { env: relevant, found }
  return found
}

function unpacked(env: Environment): Toolchain[] {
  const root = toolchainRoot(env)
  const found = (existsSync(root) ? readdirSync(root) : [])
    .filter((name) => !name.startsWith('.') && existsSync(join(root, name, 'complete.json')))
    .flatMap((name) => folderToolchain(join(root, name), env) ?? [])
  const rank = ({ version }: Toolchain): number => (isRelease(version, preferredRelease) ? 0 : 1)
  return found.sort((a, b) => rank(a) - rank(b) || (atLeast(a.version, b.version) ? -1 : 1))
}

/**
 * Runs a program under the C library beside a compiler, where that is as new as the machine's (`own`) or newer: Node and
 * what it needs must find what they were linked with. Under an older one the compiler runs in Node's own C library, and
 * the worker loads its other libraries by path.
 */
function launcherOf({ path }: FoundLibrary, own: string | undefined): string[] {
  const beside = dirname(path)
  const loader = join(beside, 'ld-linux-x86-64.so.2')
  if (!existsSync(loader)) return []
  const version = glibcVersion(join(beside, 'libc.so.6'))
  return version && own && !atLeast(version, own) ? [] : [loader, '--library-path', beside]
}

/** A folder with a compiler's libraries, under the C library that lies beside them if there is one. */
export function folderToolchain(
  folder: string,
  env: Environment = process.env,
  own = ownGlibcVersion(),
): Toolchain | undefined {
  const launcher = (library: FoundLibrary) => launcherOf(library, own)
  const hip = findHip(systemFiles({ ...env, ROCMFORGE_ROCM_PATH: folder })).found
  if (hip?.compiler) return hipToolchain(hip, folder, launcher(hip.compiler))
  const nvrtc = findNvrtc(systemFiles({ ...env, ROCMFORGE_CUDA_PATH: folder })).found
  return nvrtc && nvrtcToolchain(nvrtc, folder, launcher(nvrtc))
}

function hipToolchain(
  libraries: HipLibraries | undefined,
  origin: string,
  launcher: readonly string[],
): Toolchain | undefined {
  const { compiler, comgr, builtins } = libraries ?? {}
  if (!libraries || !compiler || !comgr) return undefined
  const parts = [compiler, comgr, builtins].flatMap((part) => (part ? [part.path] : []))
  return {
    family: 'hiprtc',
    version: versionInName(basename(realpathSync(compiler.path))) ?? String(compiler.major),
    origin: origin === 'installed' ? `${origin}, ${libraries.why}` : origin,
    hip: libraries,
    launcher,
    identity: `hiprtc ${identityOf([...parts, ...codeGenerators(comgr.path)])}`,
  }
}

function nvrtcToolchain(nvrtc: FoundLibrary, origin: string, launcher: readonly string[]): Toolchain {
  const folder = dirname(nvrtc.path)
  const builtins = readdirSync(folder).filter((name) => /nvrtc-builtins/.test(name))
  return {
    family: 'nvrtc',
    version: versionInName(basename(realpathSync(nvrtc.path))) ?? String(nvrtc.major),
    origin,
    nvrtc,
    launcher,
    identity: `nvrtc ${identityOf([nvrtc.path, ...builtins.map((name) => join(folder, name))])}`,
  }
}

/** LLVM, where comgr does not bring its own copy: the library that in truth makes the code. */
function codeGenerators(comgr: string): string[] {
  // the names of needed libraries stand near the start of the file
  const names = head(comgr, 1 << 20)
    .toString('latin1')
    .matchAll(/lib(?:LLVM|clang)[\w.+-]*\.so[\w.]*/g)
  const folders = [dirname(comgr), '/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib']
  return [...names].flatMap(([name]) => folders.map((folder) => join(folder, name)).find(existsSync) ?? [])
}

function head(path: string, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  const fd = openSync(path, 'r')
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, bytes, 0))
  } finally {
    closeSync(fd)
  }
}

/** Real names, which hold versions, and a hash of what tells builds of one version apart. */
function identityOf(paths: readonly string[]): string {
  const real = [...new Set(paths.map((path) => realpathSync(path)))]
  return `${real.map((path) => basename(path)).join(' ')} ${sha256(real.map(fingerprint).join('\n')).slice(0, 16)}`
}

/** The linker's build id where the file has one; else its size and time. */
function fingerprint(path: string): string {
  const { size, mtimeMs } = statSync(path)
  return buildId(head(path, 1 << 16)) ?? `${size} ${mtimeMs}`
}

/** Finds the GNU build id note in the first pages of a library, by its owner and type. */
export function buildId(bytes: Buffer): string | undefined {
  const mark = Buffer.from([3, 0, 0, 0, 0x47, 0x4e, 0x55, 0]) // NT_GNU_BUILD_ID, "GNU\0"
  const at = bytes.indexOf(mark)
  if (at < 4) return undefined
  const size = bytes.readUInt32LE(at - 4)
  return size >= 8 && size <= 64 && at + 8 + size <= bytes.length
    ? bytes.toString('hex', at + 8, at + 8 + size)
    : undefined
}

/**
 * The compiler for a target: what `ROCMFORGE_HIPRTC` names (a release such as `6.4`, or a folder), else the first that
 * knows the target. Errors: `no-compiler`.
 */
export function selectToolchain(target: Target, env: Environment = process.env): Toolchain {
  const chosen = env['ROCMFORGE_HIPRTC']
  const family = target.platform === 'nvidia' ? 'nvrtc' : 'hiprtc'
  if (family === 'hiprtc' && chosen && existsSync(chosen)) {
    const named = folderToolchain(chosen, env)
    if (named) return named
  }
  const all = findToolchains(env).filter((toolchain) => toolchain.family === family)
  if (family === 'hiprtc' && chosen) {
    const named = all.find(({ version }) => isRelease(version, chosen))
    if (named) return named
    return fail({
      code: 'no-compiler',
      message: `ROCMFORGE_HIPRTC=${chosen} is neither a release that was found nor a folder with hipRTC and comgr`,
      facts: [['found', all.map(({ version, origin }) => `${version} (${origin})`).join(', ') || 'none']],
      help: 'give one of the releases found, or `rocmforge toolchain 6.4` to get one',
    })
  }
  const oldest = firstRelease[target.name]
  const knowing = all.find(({ version }) => oldest === undefined || family === 'nvrtc' || atLeast(version, oldest))
  const selected = knowing ?? all[0] // comgr's own list has the last word
  if (selected) return selected
  const nvidia = family === 'nvrtc'
  return fail({
    code: 'no-compiler',
    message: `no run-time compiler for ${targetId(target)} on this machine`,
    facts: [['missing', nvidia ? 'NVRTC (libnvrtc)' : 'hipRTC (libhiprtc) with comgr (libamd_comgr)']],
    help: nvidia
      ? 'install NVRTC of CUDA 12 or newer, name its folder in CUDA_PATH, or on Debian run `rocmforge toolchain nvrtc`'
      : 'install ROCm’s run-time compiler, name its folder in ROCM_PATH, or on Debian run `rocmforge toolchain 6.4`',
  })
}
