// Packs the GPU test suite and the command line for a machine that has neither Node nor npm: a stripped Node, koffi's prebuilt library, and
// bundles of everything else, into the ignored folder .gpu/. `bash scripts/gpu-run.sh` there unpacks and runs
// the suite, `bash scripts/gpu-bench.sh` the benchmarks; models and
// templates come from the tree itself.
//
//   node scripts/gpu-pack.mjs [--into FOLDER]
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { bundleSuite, root } from './gpu-bundle.mjs'

const [flag, folder] = process.argv.slice(2)
const into = flag === '--into' ? resolve(folder) : join(root, '.gpu')
mkdirSync(into, { recursive: true })

const work = mkdtempSync(join(tmpdir(), 'rocmforge-gpu-'))
try {
  if (!existsSync(join(into, 'node.xz'))) {
    const node = join(work, 'node')
    cpSync(process.execPath, node, { dereference: true })
    execFileSync('strip', ['--strip-all', node])
    execFileSync('xz', ['-T0', '--x86', '--lzma2=preset=6,dict=64MiB', node], { stdio: 'inherit' }) // half a minute
    renameSync(`${node}.xz`, join(work, 'node.xz'))
    cpSync(join(work, 'node.xz'), join(into, 'node.xz'))
    rmSync(join(work, 'node.xz'))
  }
  const tree = join(work, 'rocmforge')
  await bundleSuite(join(tree, 'dist'), { standAlone: true })
  cpSync(join(root, 'package.json'), join(tree, 'package.json'))
  cpSync(join(root, 'hip-templates'), join(tree, 'hip-templates'), { recursive: true })
  cpSync(join(root, 'runtime/host'), join(tree, 'runtime/host'), {
    recursive: true,
    filter: (file) => !file.endsWith('.ts'),
  })
  const koffi = 'node_modules/koffi'
  const isNeeded = (path) => statSync(path).isDirectory() || /(\.c?js|package\.json)$/.test(path) // not its C++ and documents
  cpSync(join(root, koffi), join(tree, koffi), { recursive: true, filter: isNeeded })
  const prebuilt = 'node_modules/@koromix/koffi-linux-x64'
  for (const file of ['package.json', 'index.js', 'linux_x64'])
    cpSync(join(root, prebuilt, file), join(tree, prebuilt, file), { recursive: true })
  execFileSync('tar', ['-C', work, '-cJf', join(into, 'suite.tar.xz'), 'rocmforge'])
} finally {
  rmSync(work, { recursive: true, force: true })
}
for (const name of ['node.xz', 'suite.tar.xz'])
  console.log(`${join(into, name)}: ${(statSync(join(into, name)).size / 1e6).toFixed(1)} MB`)
