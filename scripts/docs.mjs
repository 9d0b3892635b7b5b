// Writes docs/ops.md from the declarations of the ops. With --check it only says whether the file is stale.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(root, 'node_modules', '.docs-'))
const bundle = join(folder, 'document.mjs')
try {
  await build({
    entryPoints: [join(root, 'ir/document.ts')],
    outfile: bundle,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
  })
  const { documentOps } = await import(pathToFileURL(bundle).href)
  const file = join(root, 'docs/ops.md')
  const text = documentOps()
  if (!process.argv.includes('--check')) writeFileSync(file, text)
  else if (readFileSync(file, 'utf8') !== text) {
    console.error('docs/ops.md is stale: npm run docs')
    process.exitCode = 1
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
