// Before any test: our own child processes are built, and kernels go to a cache of the tests' own, which stays from run to
// run, so that each kernel is compiled once a machine.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../ir/package-root.ts'
import { toolchainRoot } from '../runtime/cache/root.ts'
import { chooseQuickCompiler } from './test-compiler.ts'

export default async function setup(): Promise<void> {
  const root = packageRoot()
  const built = spawnSync(process.execPath, [join(root, 'scripts/build.mjs')], { cwd: root, encoding: 'utf8' })
  if (built.status !== 0) {
    if (!existsSync(join(root, 'dist/cli.js'))) throw new Error(`the build failed\n${built.stderr}`)
    process.stderr.write(`the build failed, child processes run the last one that succeeded\n${built.stderr}`)
  }
  process.env['ROCMFORGE_TOOLCHAINS'] = toolchainRoot() // the user's: they are large
  process.env['XDG_CACHE_HOME'] = join(tmpdir(), `rocmforge-test-cache-${userInfo().uid}`)
  for (const name of ['ROCMFORGE_CACHE_DIR', 'ROCMFORGE_CACHE_DIRS']) delete process.env[name]
  await chooseQuickCompiler(process.env['XDG_CACHE_HOME'])
}
