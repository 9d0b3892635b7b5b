// Writes docs/ops.md from the declarations of the ops, and docs/errors.md from the table of diagnostic codes. With --check
// it only says whether they are stale.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(root, 'node_modules', '.docs-'))
try {
  await build({
    entryPoints: [join(root, 'ir/document.ts'), join(root, 'ir/diagnostic-codes.ts')],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'warning',
  })
  const load = (name) => import(pathToFileURL(join(folder, name)).href)
  const { documentOps } = await load('document.mjs')
  const { documentCodes } = await load('diagnostic-codes.mjs')
  for (const [page, text] of [
    ['docs/ops.md', documentOps()],
    ['docs/errors.md', documentCodes()],
  ]) {
    const file = join(root, page)
    if (!process.argv.includes('--check')) writeFileSync(file, text)
    else if (!existsSync(file) || readFileSync(file, 'utf8') !== text) {
      console.error(`${page} is stale: npm run docs`)
      process.exitCode = 1
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
