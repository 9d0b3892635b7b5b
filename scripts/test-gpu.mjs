// npm run test:gpu -- [--device amd|nvidia|host] [--out FOLDER] [--quick] [--only PART,…] [--scratch FOLDER]
// Everything that needs a GPU: the suite of test/gpu on the device asked for (default: the first GPU). It writes
// docs/gpu-report.md, or gpu-report.md and results.json into --out; the last line reads `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { bundleSuite, root } from './gpu-bundle.mjs'

await import('./build.mjs') // children of the runtime are entries of their own in dist/
await bundleSuite(join(root, 'dist/gpu'))
const run = spawnSync(process.execPath, [join(root, 'dist/gpu/gpu-suite.js'), ...process.argv.slice(2)], {
  stdio: 'inherit',
})
process.exitCode = run.status ?? 1
