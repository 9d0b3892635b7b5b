// Before any test: our own child processes are built, and kernels go to a cache of the tests' own, which stays from run to
// run, so that each kernel is compiled once a machine.
import { execFileSync } from 'node:child_process'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { packageRoot } from '../ir/package-root.ts'

export default function setup(): void {
  execFileSync(process.execPath, [join(packageRoot(), 'scripts/build.mjs')], { cwd: packageRoot(), stdio: 'inherit' })
  process.env['XDG_CACHE_HOME'] = join(tmpdir(), `rocmforge-test-cache-${userInfo().uid}`)
  for (const name of ['ROCMFORGE_CACHE_DIR', 'ROCMFORGE_CACHE_DIRS']) delete process.env[name]
}
