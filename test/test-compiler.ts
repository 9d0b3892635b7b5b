// The C++ compilers that tests use for kernels on the CPU: most tests one that optimises little, so that they wait a third as
// long for it. Kernels as they ship (`shippedCompiler`) are held to their references by runtime/kernels and hip-templates,
// and whole models by e2e/stories.
import { chmodSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findHostCompiler } from '../runtime/host/compiler.ts'

/** holds what ROCMFORGE_CXX was before the tests */
const original = 'ROCMFORGE_TEST_CXX'
/** holds the folder of the compilers below */
const folderName = 'ROCMFORGE_TEST_COMPILERS'

/** Options that stand behind all others: `quick` for code that runs for long, `plain` for emulated blocks of small cases. */
const levels = { quick: '-Og', plain: '-O0' } as const
export type TestCompiler = keyof typeof levels

/** For all tests of a run, who share what it compiles; nothing where there is no compiler. */
export async function chooseQuickCompiler(folder: string): Promise<void> {
  if (process.env[folderName]) return // a run within a run, whose compilers are the outer one's: they must not start themselves
  const found = await findHostCompiler().catch(() => undefined)
  if (!found || process.platform === 'win32') return
  mkdirSync(folder, { recursive: true })
  for (const [name, level] of Object.entries(levels)) {
    const path = join(folder, `${name}-c++`)
    const fresh = `${path}.${process.pid}`
    writeFileSync(fresh, wrapper(found.command.join(' '), level, folder))
    chmodSync(fresh, 0o755)
    renameSync(fresh, path) // another run may be starting it
  }
  process.env[original] = process.env['ROCMFORGE_CXX'] ?? ''
  process.env[folderName] = folder
  process.env['ROCMFORGE_CXX'] = join(folder, 'quick-c++')
}

/**
 * A compiler that adds `level` and keeps the objects of kernels, whose whole source comes on standard input: processes that begin
 * with an empty kernel cache compile the same ones over and over.
 */
const wrapper = (command: string, level: string, folder: string): string => `#!/bin/sh
case " $* " in
*' -x c++ - -o '*) command -v sha256sum >/dev/null || exec ${command} "$@" ${level} ;;
*) exec ${command} "$@" ${level} ;;
esac
objects='${folder}/objects'
mkdir -p "$objects"
source=$(mktemp "$objects/source.XXXXXX")
trap 'rm -f "$source"' EXIT
cat >"$source"
words=''
output=''
before=''
for word in "$@"; do
  if [ "$before" = -o ]; then output=$word; else words="$words $word"; fi
  before=$word
done
key=$({ echo '${command} ${level}' "$words"; cat "$source"; } | sha256sum | cut -d ' ' -f 1)
if [ -f "$objects/$key" ]; then
  cp "$objects/$key" "$output"
  exit
fi
${command} "$@" ${level} <"$source" || exit
cp "$output" "$source" && mv "$source" "$objects/$key"
`

/** What to put into the environment for a compiler of the tests'; nothing where there is none. */
export function testCompiler(name: TestCompiler): { readonly ROCMFORGE_CXX?: string } {
  const folder = process.env[folderName]
  return folder ? { ROCMFORGE_CXX: join(folder, `${name}-c++`) } : {}
}

/** From here on this test file has kernels compiled as they ship. */
export function shippedCompiler(): void {
  const before = process.env[original]
  if (before === undefined) return
  if (before) process.env['ROCMFORGE_CXX'] = before
  else delete process.env['ROCMFORGE_CXX']
}
