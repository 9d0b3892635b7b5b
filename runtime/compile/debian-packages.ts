// Debian's packages without installing them: apt with a state of its own resolves and downloads what some packages need,
// from the mirror that this machine uses already, with its keys and proxy; dpkg-deb unpacks them into a folder.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { errorCode } from '../cache/file-layer.ts'
import { runProcess } from '../host/process.ts'

/** What to ask of which suites. */
export interface PackageSet {
  readonly suites: readonly string[]
  /** default `main` */
  readonly components?: string
  readonly packages: readonly string[]
  /** packages to take from experimental, which is not complete in itself: all else comes from the other suites */
  readonly pinned?: string
}

/** A Debian archive, as a line of sources.list names it. */
interface DebianArchive {
  readonly uri: string
  readonly suites: readonly string[]
  readonly signedBy?: string
}

export interface PackageProgress {
  readonly stage: 'lists' | 'download' | 'unpack'
  /** of the packages' files; 0 while that is not known */
  readonly bytes: number
  readonly totalBytes: number
}

const elsewhere =
  'elsewhere install ROCm’s own run-time compiler (or CUDA’s NVRTC), or make the folder on a Debian machine with `rocmforge toolchain 6.4 --into FOLDER`, copy it, and name it in ROCMFORGE_TOOLCHAINS'

/** Throws the Diagnostic `no-debian` where packages cannot be had this way, and says why. */
export async function requireDebian(): Promise<void> {
  const refuse = (reason: string): never =>
    fail({
      code: 'no-debian',
      message: 'compilers are unpacked from Debian’s packages, which this machine cannot fetch',
      facts: [['reason', reason]],
      help: elsewhere,
    })
  if (process.platform !== 'linux' || process.arch !== 'x64')
    refuse(`this is ${process.platform} on ${process.arch}; Linux on x86-64 is needed`)
  for (const program of ['apt-get', 'apt-config', 'dpkg-deb'])
    if (!(await isProgram(program))) refuse(`there is no ${program}`)
  const found = await archivesOfMachine()
  if (!debianArchive(found))
    refuse(`the sources of apt name no Debian archive, only ${found.map(({ uri }) => uri).join(', ') || 'none'}`)
}

async function isProgram(name: string): Promise<boolean> {
  try {
    await runProcess([name, '--version'], { timeoutMs: 30_000 })
    return true
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false
    throw error
  }
}

/**
 * Downloads packages and all that they need, and unpacks them into `into`. `state` keeps what was downloaded, so that a
 * second try goes on. Gives the names of the archives and their bytes. Throws the Diagnostic `package-download`.
 */
export async function unpackPackages(
  set: PackageSet,
  { state, into, ...options }: { state: string; into: string } & PackageOptions,
): Promise<{ archives: string[]; bytes: number }> {
  const archive = debianArchive(await archivesOfMachine())!
  const cache = join(state, 'archives')
  for (const folder of ['lists/partial', 'archives/partial']) mkdirSync(join(state, folder), { recursive: true })
  const { suites, components = 'main', packages, pinned } = set
  const keyring = archive.signedBy ? `[signed-by=${archive.signedBy}] ` : ''
  const sources = suites.map((suite) => `deb ${keyring}${archive.uri} ${suite} ${components}\n`)
  const preference = pinned ? `Package: ${pinned}\nPin: release a=experimental\nPin-Priority: 990\n` : ''
  writeFileSync(join(state, 'sources.list'), sources.join(''))
  writeFileSync(join(state, 'preferences'), preference)
  writeFileSync(join(state, 'status'), '') // as if nothing were installed: apt then resolves everything, libc too
  writeFileSync(join(state, 'apt.conf'), configuration(state))
  const apt = (words: readonly string[]) => run(['apt-get', '-c', join(state, 'apt.conf'), '-qq', ...words], options)

  options.onProgress?.({ stage: 'lists', bytes: 0, totalBytes: 0 })
  await apt(['update'])
  const wanted = filesOf(await apt(['install', '--yes', '--print-uris', ...packages]))
  const totalBytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0)
  const timer = setInterval(() => {
    const bytes = wanted.reduce((sum, { name }) => sum + fileBytes(cache, name), 0)
    options.onProgress?.({ stage: 'download', bytes, totalBytes })
  }, 500)
  try {
    options.onProgress?.({ stage: 'download', bytes: 0, totalBytes })
    await apt(['install', '--yes', '--download-only', ...packages]) // apt checks signatures and hashes
  } finally {
    clearInterval(timer)
  }
  const archives = readdirSync(cache)
    .filter((name) => name.endsWith('.deb'))
    .sort()
  const sizes = archives.map((name) => fileBytes(cache, name))
  const all = sizes.reduce((sum, bytes) => sum + bytes, 0)
  let done = 0
  for (const [i, name] of archives.entries()) {
    options.onProgress?.({ stage: 'unpack', bytes: done, totalBytes: all })
    await run(['dpkg-deb', '-x', join(cache, name), into], options)
    done += sizes[i]!
  }
  options.onProgress?.({ stage: 'unpack', bytes: all, totalBytes: all })
  return { archives, bytes: all }
}

interface PackageOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PackageProgress) => void
}

/** Lines of `--print-uris`: `'http://…' name.deb 1234 SHA256:…`; what lies in the cache already is not among them. */
export const filesOf = (printed: string): { name: string; bytes: number }[] =>
  [...printed.matchAll(/^'[^']*' (\S+) (\d+)/gm)].map(([, name, bytes]) => ({ name: name!, bytes: Number(bytes) }))

function fileBytes(cache: string, name: string): number {
  const found = [join(cache, name), join(cache, 'partial', name)].map((file) =>
    statSync(file, { throwIfNoEntry: false }),
  )
  return Math.max(...found.map((stats) => stats?.size ?? 0))
}

/** apt with a state of its own; proxy, keys' options and certificates still come from the machine's configuration. */
function configuration(state: string): string {
  const settings = {
    'Dir::Etc::SourceList': join(state, 'sources.list'),
    'Dir::Etc::SourceParts': '/dev/null',
    'Dir::Etc::Preferences': join(state, 'preferences'),
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State': state,
    'Dir::State::Lists': join(state, 'lists'),
    'Dir::State::status': join(state, 'status'),
    'Dir::State::extended_states': join(state, 'extended_states'),
    'Dir::Cache': state,
    'Dir::Cache::Archives': join(state, 'archives'),
    'APT::Install-Recommends': 'false',
    'APT::Architecture': 'amd64',
    'APT::Sandbox::User': '', // the download user may not reach this folder
    'Acquire::Languages': 'none',
    'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled': 'false',
    'Acquire::Retries': '3',
    'Debug::NoLocking': 'true',
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`)
  return `#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear DPkg::Post-Invoke;\n${lines.join('\n')}\n`
}

const plainSuite = /^(?:(?:old)*stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky)$/

/** The Debian mirror (not the security archive) among archives. */
export const debianArchive = (found: readonly DebianArchive[]): DebianArchive | undefined =>
  found.find(({ suites, uri }) => suites.some((suite) => plainSuite.test(suite)) && /debian\/?$/.test(uri))

/** The archives of apt's sources, in either of their two formats. */
async function archivesOfMachine(): Promise<DebianArchive[]> {
  return (await sourceFiles()).flatMap((file) => {
    const text = readFileSync(file, 'utf8')
    return file.endsWith('.sources') ? readDeb822(text) : readOneLine(text)
  })
}

async function sourceFiles(): Promise<string[]> {
  const ask = async (name: string) =>
    /^FOUND='(.*)'/m.exec(await run(['apt-config', 'shell', 'FOUND', name], {}))?.[1] ?? ''
  const list = await ask('Dir::Etc::sourcelist/f')
  const parts = await ask('Dir::Etc::sourceparts/d')
  const names = parts && existsSync(parts) ? readdirSync(parts).sort() : []
  const files = names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(parts, name))
  return [...(list && existsSync(list) ? [list] : []), ...files]
}

/** `deb [signed-by=/usr/share/keyrings/…] http://MIRROR/debian bookworm main` */
export function readOneLine(text: string): DebianArchive[] {
  return text.split('\n').flatMap((line) => {
    const [, options = '', uri, suite] = /^\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)/.exec(line) ?? []
    if (!uri || !suite) return []
    const signedBy = /signed-by=(\S+)/.exec(options)?.[1]
    return [{ uri, suites: [suite], ...(signedBy ? { signedBy } : {}) }]
  })
}

/** Stanzas of `Types: deb`, `URIs: …`, `Suites: …`, `Signed-By: …`. */
export function readDeb822(text: string): DebianArchive[] {
  const plain = text.replaceAll(/^#.*\n/gm, '')
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'im').exec(stanza)?.[1]?.trim()
    const isDisabled = field('Enabled') === 'no' || !/\bdeb\b/.test(field('Types') ?? '')
    const uri = field('URIs')?.split(/\s+/)[0]
    if (isDisabled || !uri) return []
    const signedBy = field('Signed-By')
    // a key written out in the stanza cannot be named on one line: apt's trusted keys must do
    const key = signedBy?.startsWith('/') ? { signedBy } : {}
    return [{ uri, suites: field('Suites')?.split(/\s+/) ?? [], ...key }]
  })
}

const hour = 3600_000

async function run(command: readonly string[], { signal }: PackageOptions): Promise<string> {
  const { status, stdout, stderr } = await runProcess(command, {
    timeoutMs: hour,
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    ...(signal ? { signal } : {}),
  })
  if (status === 0) return stdout
  const said = `${stderr}\n${stdout}`.split('\n').filter((line) => /^E:|rror/.test(line))
  return fail({
    code: 'package-download',
    message: `${command[0]} failed`,
    facts: [
      ['command', command.join(' ')],
      ['said', (said.length > 0 ? said.slice(0, 5).join('\n') : stderr.slice(-500).trim()) || `exit code ${status}`],
    ],
    help: 'see that the mirror of apt can be reached and the disk has room; a second try goes on where this one ended',
  })
}
