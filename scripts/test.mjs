// npm test: all set-up that a fresh machine needs, then types, lint and every test that needs no GPU. The last line reads
// `N passed, N failed, N skipped`. Arguments after `--` go to vitest: npm test -- test/ir
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildIfStale, installCompiler, installPackages, requireNode, root } from './setup.mjs'

requireNode()
installPackages()
installCompiler()
provideGpuCompilers()
await buildIfStale()

/** hipRTC and NVRTC, which need no GPU: unpacked into a folder where apt can bring them; their tests say when they skip. */
function provideGpuCompilers() {
  const mayFetch = process.platform === 'linux' && existsSync('/usr/bin/apt-get') && !process.env.ROCMFORGE_NO_INSTALL
  if (!mayFetch) return
  const words = [join(root, 'scripts/hiprtc.mjs'), '--all', 'nvrtc']
  for (
    let attempt = 0;
    attempt < 3;
    attempt++ // what is complete stays, and a mirror may be in the midst of an update
  )
    if (spawnSync(process.execPath, words, { cwd: root, stdio: 'inherit' }).status === 0) return
}

const counts = { passed: 0, failed: 0, skipped: 0 }
const bin = (...path) => join(root, 'node_modules', ...path)
const node = (...args) => spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0

/** A check that counts as one test. */
function check(title, ...command) {
  const passed = node(...command)
  counts[passed ? 'passed' : 'failed']++
  console.log(`${passed ? '✓' : '✗'} ${title}`)
}
const asked = process.argv.slice(2)
if (asked.length === 0) {
  check('types', bin('typescript/bin/tsc'), '--noEmit')
  check('lint and format', bin('@biomejs/biome/bin/biome'), 'check', '.')
}

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-test-'))
const report = join(folder, 'report.json')
try {
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const succeeded = node(bin('vitest/vitest.mjs'), 'run', ...reporters, ...asked)
  const failedBefore = counts.failed
  if (existsSync(report)) addReport(JSON.parse(readFileSync(report, 'utf8')))
  if (!succeeded && counts.failed === failedBefore) counts.failed++ // an error outside of any test
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.exitCode = counts.failed > 0 ? 1 : 0
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)

/** A file that could not even be loaded has no tests and counts as one that failed. */
function addReport({ numPassedTests, numFailedTests, numPendingTests, numTodoTests, testResults }) {
  counts.passed += numPassedTests
  counts.failed += numFailedTests
  counts.failed += testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length
  counts.skipped += numPendingTests + numTodoTests
}
