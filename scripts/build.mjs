// Bundles the entries into dist/ (a tenth of a second); dependencies stay external.
//
//   node scripts/build.mjs           what changed; files of earlier builds stay for programs that still run from them
//   node scripts/build.mjs --clean   an empty dist/ first, for a package
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** every program of ours that runs as a process or worker of its own, and the library */
const entries = {
  index: 'src/index.ts',
  cli: 'src/cli/main.ts',
  'check-worker': 'runtime/inspect/check-worker.ts',
  'compile-worker': 'runtime/compile/worker.ts',
  'device-probe': 'runtime/platform/device-probe.ts',
  'template-worker': 'src/tokenizer/template-worker.ts',
}

export async function buildBundles() {
  const { outputFiles } = await build({
    write: false,
    absWorkingDir: root,
    entryPoints: Object.fromEntries(Object.entries(entries).filter(([, file]) => existsSync(join(root, file)))),
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
  for (const { path, contents } of outputFiles) replaceFile(path, contents)
  const now = new Date()
  utimesSync(join(root, 'dist/cli.js'), now, now) // newer than the sources, changed or not
}

/** Whoever reads the file, programs that run from dist/ while another builds too, sees all of the old or of the new. */
function replaceFile(path, contents) {
  if (existsSync(path) && readFileSync(path).equals(contents)) return
  mkdirSync(dirname(path), { recursive: true })
  const fresh = `${path}.${process.pid}.tmp`
  writeFileSync(fresh, contents)
  renameSync(fresh, path)
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--clean')) rmSync(join(root, 'dist'), { recursive: true, force: true })
  await buildBundles().catch(() => process.exit(1)) // esbuild has said what is wrong
}
