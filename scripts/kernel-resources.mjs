// npm run kernel-resources: compiles every kernel of the catalog for every target and writes docs/kernel-resources.md. Needs
// no GPU; hipRTC and NVRTC are brought by `rocmforge toolchain`. `--check` writes nothing and fails on a kernel that must not ship.
//
//   node scripts/kernel-resources.mjs [--check] [--targets gfx942,gfx1100]
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { buildBundles } from './build.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
await buildBundles() // the command line, the compile child
const provided = spawnSync(process.execPath, [join(root, 'dist/cli.js'), 'toolchain', '6.4', 'nvrtc'], {
  stdio: 'inherit',
})
if (provided.status !== 0) console.error('kernel-resources: going on with the compilers that are there')
const bundle = join(root, 'dist/kernel-resources.js')
await build({
  entryPoints: [join(root, 'scripts/kernel-resources.ts')],
  outfile: bundle,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  logLevel: 'warning',
})
await import(pathToFileURL(bundle).href)
