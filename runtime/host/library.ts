// libhiphost and the sanitized runner as files: compiled from runtime/host on first use, then found in the cache by what
// they were made of. A file is used only if its checksum, kept beside it, is right.
import { createHash } from 'node:crypto'
import { accessSync, chmodSync, constants, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { makeFolder, realFiles, writeAtomically } from '../cache/file-layer.ts'
import { cacheRoot, readOnlyCacheRoots } from '../cache/root.ts'
import { compilerErrors } from './compile-error.ts'
import { findHostCompiler, type HostCompiler } from './compiler.ts'
import { runProcess } from './process.ts'
import { makeTemporaryFolder } from './temporary-folder.ts'

const buildTimeoutMs = 180_000

interface Recipe {
  /** file in runtime/host that the compiler is given */
  readonly source: string
  readonly flags: readonly string[]
  readonly name: string
  readonly suffix: string
}

const library: Recipe = {
  source: 'hiphost.cpp',
  flags: [
    '-O2',
    '-fPIC',
    '-shared',
    '-fvisibility=hidden',
    ...(process.platform === 'linux' ? ['-Wl,-z,nodelete'] : []),
  ],
  name: 'libhiphost',
  suffix: process.platform === 'darwin' ? '.dylib' : '.so',
}

const runner: Recipe = {
  source: 'runner.cpp',
  // the address sanitizer alone: kernels bring the other, and the runner compiles in half the time
  flags: ['-O1', '-fsanitize=address', '-fno-omit-frame-pointer', '-rdynamic'],
  name: 'hiphost-runner',
  suffix: '',
}

const made = new Map<string, Promise<string>>()

/**
 * Path of libhiphost for this machine; compiles it (a few seconds) when the cache has none. Throws the Diagnostics
 * `no-host-compiler` and `host-library`.
 */
export const hostLibraryPath = (options: { readonly root?: string } = {}): Promise<string> =>
  pathOf(library, options.root)

/** Path of the program that runs kernels under address and undefined-behaviour sanitizers. */
export const hostRunnerPath = (options: { readonly root?: string } = {}): Promise<string> =>
  pathOf(runner, options.root)

function pathOf(recipe: Recipe, root = cacheRoot()): Promise<string> {
  const key = `${recipe.name}\0${root}`
  let path = made.get(key)
  if (!path) {
    path = findOrBuild(recipe, root)
    made.set(key, path)
    path.catch(() => made.delete(key))
  }
  return path
}

async function findOrBuild(recipe: Recipe, root: string): Promise<string> {
  const compiler = await findHostCompiler()
  const name = `${recipe.name}-${contentKey(recipe, compiler)}${recipe.suffix}`
  for (const base of [root, ...readOnlyCacheRoots()]) {
    const path = join(base, 'host', name)
    if (isIntact(path)) return path
  }
  const bytes = await build(recipe, compiler)
  const checksum = Buffer.from(`${sha256(bytes)}\n`)
  const folder = writableFolder(join(root, 'host'))
  writeAtomically(realFiles, folder, name, bytes)
  if (recipe.suffix === '') chmodSync(join(folder, name), 0o755) // a program
  writeAtomically(realFiles, folder, `${name}.sha256`, checksum)
  return join(folder, name)
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

/** Hash of all that decides the bytes: every source file, the flags, the compiler. */
function contentKey(recipe: Recipe, compiler: HostCompiler): string {
  const hash = createHash('sha256').update(JSON.stringify([recipe, compiler.identity]))
  const folder = sourceFolder()
  for (const file of readdirSync(folder).sort()) hash.update(`\0${file}\0`).update(readFileSync(join(folder, file)))
  hash.update(readFileSync(join(packageRoot(), 'hip-templates/prelude/host.h')))
  return hash.digest('hex').slice(0, 20)
}

const sourceFolder = () => join(packageRoot(), 'runtime/host')

function isIntact(path: string): boolean {
  const bytes = realFiles.read(path)
  const checksum = realFiles.read(`${path}.sha256`)
  return bytes !== undefined && checksum !== undefined && checksum.toString().trim() === sha256(bytes)
}

async function build(recipe: Recipe, compiler: HostCompiler): Promise<Uint8Array> {
  const scratch = makeTemporaryFolder()
  try {
    const output = join(scratch, 'output')
    const source = join(sourceFolder(), recipe.source)
    const command = [...compiler.command, '-std=c++17', '-pthread', ...recipe.flags, source, '-o', output]
    if (process.platform === 'linux') command.push('-ldl')
    const result = await runProcess(command, { timeoutMs: buildTimeoutMs })
    if (result.status === 0) return readFileSync(output)
    fail({
      code: 'host-library',
      message: `${compiler.kind} ${compiler.version} cannot build ${recipe.name}`,
      facts: [
        ...(result.timedOut ? [['after', `${buildTimeoutMs / 1000} s`] as const] : []),
        ...compilerErrors(result.stderr)
          .slice(0, 3)
          .map((text) => ['at', text] as const),
        ['command', command.join(' ')],
      ],
      help: 'a compiler with its C++ standard library and headers is needed; ROCMFORGE_CXX chooses another one',
    })
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

/** `folder`, or a private one of this process where it cannot be written. */
function writableFolder(folder: string): string {
  try {
    makeFolder(folder)
    accessSync(folder, constants.W_OK)
    return folder
  } catch {
    const scratch = makeTemporaryFolder()
    process.on('exit', () => rmSync(scratch, { recursive: true, force: true }))
    return scratch
  }
}
