// What a fresh machine lacks, provided step by step; each step does nothing where nothing is missing. Plain Node: it runs
// before anything is installed. `ROCMFORGE_NO_INSTALL=1` leaves packages and system alone.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = dirname(dirname(fileURLToPath(import.meta.url)))

const mayInstall = !process.env.ROCMFORGE_NO_INSTALL
const say = (text) => process.stderr.write(`${text}\n`)

/** Ends with a plain message where Node is too old to read our code. */
export function requireNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 20 || (major === 20 && minor >= 19)) return
  say(`rocmforge needs Node 20.19 or newer, this is ${process.versions.node}: https://nodejs.org`)
  process.exit(1)
}

/** node_modules as package-lock.json says. */
export function installPackages() {
  if (packagesComplete()) return
  const release = takeTurn()
  try {
    if (!packagesComplete()) installNow() // another process may have been at it
  } finally {
    release()
  }
}

/** Waits for other processes that install into this folder; a lock whose process has ended is nobody's. */
function takeTurn() {
  const lock = join(root, 'setup-lock.tmp')
  for (;;) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' })
      return () => rmSync(lock, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') return () => {} // a folder that cannot be written: npm says so
    }
    if (!isRunning(lock)) rmSync(lock, { force: true })
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)
  }
}

function isRunning(lock) {
  try {
    process.kill(Number(readFileSync(lock, 'utf8')) || 0, 0) // 0, of a lock about to be written, is ourselves
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

function installNow() {
  if (!mayInstall) stop('packages are missing: run `npm ci`')
  say('setup    installing packages (npm ci, once)')
  const options = ['--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  if (npm('ci', ...options).status === 0) return
  // a registry that lacks a package for some other platform: npm ci refuses, npm install leaves it out
  const { status, stdout, stderr, error } = npm('install', '--no-save', ...options)
  if (status !== 0) stop(`npm install failed\n${error?.message ?? ''}${stdout ?? ''}${stderr ?? ''}`)
}

const npm = (...args) =>
  // npm is a script on Windows, which only a shell can start
  spawnSync('npm', args, { cwd: root, encoding: 'utf8', shell: process.platform === 'win32' })

/** Every package of the lock file is there in its version; those that npm leaves out for other platforms may be absent. */
function packagesComplete() {
  const lock = join(root, 'package-lock.json')
  const hidden = join(root, 'node_modules/.package-lock.json') // npm's note of what it installed
  if (!existsSync(lock)) return existsSync(hidden) // an unpacked package: its packages are beside it or above
  if (!existsSync(hidden)) return false
  const wanted = JSON.parse(readFileSync(lock, 'utf8')).packages
  const present = JSON.parse(readFileSync(hidden, 'utf8')).packages
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === '' || (present[path] ? present[path].version === version : optional),
  )
}

/** The names that the host platform looks for (runtime/host/compiler.ts). */
const compilers = ['g++', 'clang++', 'c++', ...['g++-14', 'g++-13', 'g++-12', 'clang++-18', 'clang++-16', 'clang++-14']]

/**
 * A C++ compiler for the CPU's kernels: on Debian as root by apt-get, elsewhere a line that says how. Without one the
 * reference executor runs, so that this never ends the program.
 */
export function installCompiler() {
  if (process.env.ROCMFORGE_CXX || process.env.CXX || compilers.some(onPath)) return
  const mayApt = mayInstall && process.platform === 'linux' && onPath('apt-get') && process.getuid() === 0
  if (!mayApt) {
    const how =
      process.platform === 'darwin'
        ? 'xcode-select --install'
        : onPath('apt-get')
          ? 'sudo apt-get install g++'
          : onPath('dnf')
            ? 'sudo dnf install gcc-c++'
            : 'install g++ 12 or clang 14, or newer'
    say(`setup    no C++ compiler, which the CPU's kernels need: ${how}`)
    return
  }
  say('setup    installing g++ (apt-get, once)')
  const apt = (...args) =>
    spawnSync('apt-get', ['-qq', '-o', 'Acquire::Retries=3', '-o', 'Acquire::http::Timeout=30', ...args], {
      encoding: 'utf8',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    })
  apt('update') // where this fails, the lists that are there may still do
  const { status, stderr } = apt('install', '--yes', '--no-install-recommends', 'g++')
  if (status !== 0) say(`setup    apt-get could not install g++\n${stderr}`)
}

/** GPUs need no C++ compiler: their driver's device file tells of one. */
export const mayHaveGpu = () => ['/dev/kfd', '/dev/nvidiactl'].some((file) => existsSync(file))

/** dist/ is as new as the sources; says nothing, since it takes a tenth of a second. */
export async function buildIfStale() {
  const built = mtime(join(root, 'dist/cli.js'))
  const sources = ['src', 'ir', 'passes', 'codegen', 'runtime', 'scripts/build.mjs', 'package.json']
  if (!existsSync(join(root, 'src'))) return // a published package has dist/ and no sources
  if (built > 0 && sources.every((path) => newest(join(root, path)) <= built)) return
  const { buildBundles } = await import('./build.mjs')
  await buildBundles()
}

/** Newest change below a path, ms; a folder's own time tells of files that went. */
function newest(path) {
  const { isDirectory, time } = statOf(path)
  if (!isDirectory) return time
  return readdirSync(path).reduce((latest, name) => Math.max(latest, newest(join(path, name))), time)
}

const mtime = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0)
const statOf = (path) => {
  const stat = statSync(path)
  return { isDirectory: stat.isDirectory(), time: stat.mtimeMs }
}

function onPath(program) {
  const folders = (process.env.PATH ?? '').split(delimiter)
  const names = process.platform === 'win32' ? [`${program}.exe`] : [program]
  return folders.some((folder) => folder !== '' && names.some((name) => existsSync(join(folder, name))))
}

function stop(message) {
  say(`setup    ${message}`)
  process.exit(1)
}
