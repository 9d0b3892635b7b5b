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
await buildIfStale()
provideGpuCompilers()

/** Of each release, to download and unpacked, in MB. */
function sizeOf(release) {
  return release === 'nvrtc' ? [22, 72] : [68, 280]
}

/**
 * hipRTC and NVRTC, which need no GPU, unpacked into the user's cache where apt can bring them: the release that kernels
 * are checked with, and all of them for continuous integration. Tests say what they skip without one.
 */
function provideGpuCompilers() {
  const listed = spawnSync(process.execPath, [join(root, 'dist/cli.js'), 'toolchain', '--json'], { encoding: 'utf8' })
  if (listed.status !== 0) return
  const { root: folder, toolchains } = JSON.parse(listed.stdout)
  const wanted = toolchains.map(({ release }) => release).filter((release) => process.env.CI || release === '6.4')
  const absent = wanted.filter((release) => !toolchains.find((one) => one.release === release).folder)
  if (absent.length === 0) return
  const mayFetch = process.platform === 'linux' && existsSync('/usr/bin/apt-get') && !process.env.ROCMFORGE_NO_INSTALL
  const names = absent.map((release) => (release === 'nvrtc' ? 'NVRTC' : `hipRTC ${release}`)).join(', ')
  if (!mayFetch) {
    console.log(`setup    without ${names}: tests that need them say so (rocmforge toolchain)`)
    return
  }
  const [download, unpacked] = [0, 1].map((i) => absent.reduce((sum, release) => sum + sizeOf(release)[i], 0))
  console.log(
    `setup    bringing ${names} into ${folder}, once: ${download} MB to download, ${unpacked} MB unpacked; ` +
      'ROCMFORGE_NO_INSTALL=1 leaves it, and its tests, out',
  )
  for (
    let attempt = 0;
    attempt < 3;
    attempt++ // what is complete stays, and a mirror may be in the midst of an update
  )
    if (
      spawnSync(process.execPath, [join(root, 'dist/cli.js'), 'toolchain', ...absent], { stdio: 'inherit' }).status ===
      0
    )
      return
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
