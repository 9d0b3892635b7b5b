// npm run bench: bundles the benchmarks of bench/ and runs them with the arguments given.
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { buildBundles } from './build.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
await buildBundles() // children of the runtime are entries of their own in dist/
await build({
  entryPoints: ['run', 'rocmforge', 'llama-cpp'].map((name) => join(root, 'bench', `${name}.ts`)),
  outdir: join(root, 'dist/bench'),
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  logLevel: 'warning',
})
const run = spawnSync(process.execPath, [join(root, 'dist/bench/run.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exitCode = run.status ?? 1
