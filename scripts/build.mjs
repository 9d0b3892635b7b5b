// Bundles the entries into dist/ (a tenth of a second); dependencies stay external.
import { build } from 'esbuild'
import { existsSync } from 'node:fs'

/** every program of ours that runs as a process or worker of its own, and the library */
const entries = {
  index: 'src/index.ts',
  cli: 'src/cli/main.ts',
  'compile-worker': 'runtime/compile-worker.ts',
  'device-probe': 'runtime/platform/device-probe.ts',
  'template-worker': 'src/tokenizer/template-worker.ts',
}

await build({
  entryPoints: Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(file))),
  outdir: 'dist',
  bundle: true,
  splitting: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20.19',
  sourcemap: true,
  logLevel: 'warning',
})
