// Makes releases of hipRTC (and NVRTC) available on a Debian machine without installing anything: resolves and downloads the
// packages of a suite with apt (private state, the machine's own mirror, keys and proxy) and unpacks them into a folder.
// The compile service runs them under the C library of that folder, so the machine's own release does not matter.
//
//   node scripts/hiprtc.mjs [5.2] [6.4] [7.2] [nvrtc] [--all] [--into FOLDER] [--force]
//
// Default: 6.4, into .rocm/ of a checkout, else into the cache's toolchains/. Done already: says so and ends.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Debian's packages of each release, and the suites that hold them and what they need. */
const releases = {
  5.2: { suites: ['bookworm'], packages: ['libamdhip64-5', 'libamd-comgr2', 'libhiprtc-builtins5'] },
  6.4: { suites: ['sid'], packages: ['libhiprtc6', 'libamdhip64-6', 'libamd-comgr3'] },
  7.2: {
    suites: ['sid', 'experimental'],
    packages: ['libhiprtc7', 'libamdhip64-7', 'libamd-comgr3'],
    // all else comes from sid: experimental is not complete in itself
    pinned: 'libhiprtc* libamdhip64-* libhsa-runtime64-* libamd-comgr*',
  },
  nvrtc: { suites: ['sid'], components: 'main contrib non-free', packages: ['libnvrtc12', 'libnvrtc-builtins12.4'] },
}

const root = dirname(dirname(fileURLToPath(import.meta.url)))

function main(words) {
  const wanted = []
  let into = defaultFolder()
  let force = false
  while (words.length > 0) {
    const word = words.shift()
    if (word === '--all') wanted.push('5.2', '6.4', '7.2')
    else if (word === '--force') force = true
    else if (word === '--into' && words.length > 0) into = resolve(words.shift())
    else if (Object.hasOwn(releases, word)) wanted.push(word)
    else stop(`unknown argument ${word}; releases: ${Object.keys(releases).join(', ')}`)
  }
  for (const release of new Set(wanted.length > 0 ? wanted : ['6.4'])) provide(release, join(into, release), force)
}

function defaultFolder() {
  if (existsSync(join(root, '.git'))) return join(root, '.rocm')
  const cache =
    process.env.ROCMFORGE_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'rocmforge')
  return join(cache, 'toolchains')
}

function provide(release, folder, force) {
  const { suites, components = 'main', packages, pinned } = releases[release]
  const title = release === 'nvrtc' ? 'NVRTC' : `hipRTC ${release}`
  const state = `${folder}.state`
  if (existsSync(join(folder, 'complete.json')) && !force) {
    console.log(`${title}: already in ${folder}`)
    return
  }
  if (process.platform !== 'linux' || process.arch !== 'x64' || !has('apt-get') || !has('dpkg-deb')) {
    stop('needs a Debian machine (apt-get, dpkg-deb) with an x86-64 processor')
  }
  rmSync(folder, { recursive: true, force: true })
  for (const sub of ['lists/partial', 'archives/partial']) mkdirSync(join(state, sub), { recursive: true })
  writeFileSync(join(state, 'sources.list'), suites.map((suite) => sourceLine(suite, components)).join('\n') + '\n')
  writeFileSync(
    join(state, 'preferences'),
    pinned ? `Package: ${pinned}\nPin: release a=experimental\nPin-Priority: 990\n` : '',
  )
  writeFileSync(join(state, 'status'), '') // as if nothing were installed: apt then resolves everything, libc too
  writeFileSync(join(state, 'apt.conf'), configuration(state))
  const apt = (...args) => ['apt-get', '-c', join(state, 'apt.conf'), '-qq', ...args]

  console.log(`${title}: reading the package lists of ${suites.join(' and ')}`)
  run(...apt('update'))
  console.log(`${title}: downloading ${packages.join(', ')} and what they need`)
  run(...apt('install', '--yes', '--download-only', ...packages)) // apt checks signatures and hashes
  const archives = readdirSync(join(state, 'archives')).filter((name) => name.endsWith('.deb'))
  console.log(`${title}: unpacking ${archives.length} packages`)
  const fresh = join(state, 'root')
  rmSync(fresh, { recursive: true, force: true })
  mkdirSync(fresh)
  for (const archive of archives) run('dpkg-deb', '-x', join(state, 'archives', archive), fresh)
  for (const surplus of ['usr/share', 'usr/lib/systemd', 'usr/bin', 'usr/sbin', 'usr/lib/llvm-21/share']) {
    rmSync(join(fresh, surplus), { recursive: true, force: true })
  }
  writeFileSync(join(fresh, 'complete.json'), `${JSON.stringify({ release, packages: archives.sort() }, null, 2)}\n`)
  renameSync(fresh, folder) // whoever sees the folder sees all of it
  rmSync(state, { recursive: true, force: true })
  console.log(`${title}: ready in ${folder}`)
}

/** apt with a state of its own; proxy, keys' options and certificates still come from the machine's configuration. */
function configuration(state) {
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

let archive

/** A line of sources.list on the mirror that this machine already uses. */
function sourceLine(suite, components) {
  archive ??= debianArchive()
  const keyring = archive.signedBy ? `[signed-by=${archive.signedBy}] ` : ''
  return `deb ${keyring}${archive.uri} ${suite} ${components}`
}

/** The Debian mirror (not the security archive) among apt's sources, in either of their two formats. */
function debianArchive() {
  const found = sourceFiles().flatMap((file) => {
    const text = readFileSync(file, 'utf8')
    return file.endsWith('.sources') ? readDeb822(text) : readOneLine(text)
  })
  const debian = found.filter(({ suites, uri }) => {
    const plain = suites.some((suite) =>
      /^(?:(?:old)*stable|testing|unstable|sid|buster|bullseye|bookworm|trixie|forky)$/.test(suite),
    )
    return plain && /debian\/?$/.test(uri)
  })
  return (
    debian[0] ?? stop('no Debian archive among the sources of apt: this script needs one to derive the mirror from')
  )
}

function sourceFiles() {
  const ask = (name) => {
    const shell = execFileSync('apt-config', ['shell', 'FOUND', name], { encoding: 'utf8' })
    return /^FOUND='(.*)'/m.exec(shell)?.[1]
  }
  const list = ask('Dir::Etc::sourcelist/f')
  const parts = ask('Dir::Etc::sourceparts/d')
  const names = parts && existsSync(parts) ? readdirSync(parts).sort() : []
  const files = names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(parts, name))
  return [...(list && existsSync(list) ? [list] : []), ...files]
}

function readOneLine(text) {
  return text.split('\n').flatMap((line) => {
    const [, options = '', uri, suite] = /^\s*deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)/.exec(line) ?? []
    return uri ? [{ uri, suites: [suite], signedBy: /signed-by=(\S+)/.exec(options)?.[1] }] : []
  })
}

function readDeb822(text) {
  const plain = text.replaceAll(/^#.*\n/gm, '')
  return plain.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name) => new RegExp(`^${name}:\\s*(.*)$`, 'im').exec(stanza)?.[1]?.trim()
    const disabled = field('Enabled') === 'no' || !/\bdeb\b/.test(field('Types') ?? '')
    const [uri, suites, signedBy] = [
      field('URIs')?.split(/\s+/)[0],
      field('Suites')?.split(/\s+/) ?? [],
      field('Signed-By'),
    ]
    // a key written out in the stanza cannot be named on one line: apt's trusted keys must do
    return disabled || !uri ? [] : [{ uri, suites, signedBy: signedBy?.startsWith('/') ? signedBy : undefined }]
  })
}

const has = (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0

function run(program, ...args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) stop(`${[program, ...args].join(' ')}\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`)
}

function stop(message) {
  console.error(`hiprtc: ${message}`)
  process.exit(1)
}

main(process.argv.slice(2))
