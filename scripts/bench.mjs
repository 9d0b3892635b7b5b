// npm run bench: bundles the benchmarks of bench/ and runs bench/run.ts with the arguments given, or the one named first:
//   npm run bench -- cold-start --device nvidia
import { spawnSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { buildBundles } from './build.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
await buildBundles() // children of the runtime are entries of their own in dist/
await build({
  entryPoints: ['run', 'cold-start', 'rocmforge', 'llama-cpp'].map((name) => join(root, 'bench', `${name}.ts`)),
  outdir: join(root, 'dist/bench'),
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  logLevel: 'warning',
})
const given = process.argv.slice(2)
const [name, words] = given[0] === 'cold-start' ? [given[0], given.slice(1)] : ['run', given]
const run = spawnSync(process.execPath, [join(root, `dist/bench/${name}.js`), ...words], {
  stdio: 'inherit',
})
process.exitCode = run.status ?? 1
