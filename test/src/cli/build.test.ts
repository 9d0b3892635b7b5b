// rocmforge build and rocmforge cache together: compile for GPUs that are not here, ship, import, check, tidy.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { type BuildReport, build } from '../../../src/api/build.ts'
import { toolchainFor } from '../../toolchain.ts'
import { rocmforge, story } from './spawn.ts'

const hipRtc = toolchainFor('6.4', 'builds for gfx targets')

let folder: string
const env = () => ({ ROCMFORGE_CACHE_DIR: join(folder, 'cache'), ROCMFORGE_HIPRTC: '6.4' })
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'build-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const json = async (args: readonly string[], variables: Record<string, string> = env()) => {
  const { code, stdout, stderr } = await rocmforge([...args, '--json'], { env: variables })
  expect(stderr).toBe('')
  return { code, ...JSON.parse(stdout) }
}

test('an unknown target is refused with the nearest ones before any compiler is asked', async () => {
  const { code, stdout, stderr } = await rocmforge(['build', story, '--target', 'gfx942,gfx1105'], { env: env() })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/^error\[unknown-target\]: unknown target `gfx1105`/)
  expect(stderr).toContain('gfx1100, gfx1101, gfx1102')
})

test('a target without a compiler here is refused plainly', async () => {
  const { code, stderr } = await rocmforge(['build', story, '--target', 'gfx942'], {
    env: { ...env(), ROCMFORGE_HIPRTC: '4.0' },
  })
  expect(code).toBe(1)
  expect(stderr).toMatch(/^error\[no-compiler\]/)
})

test('options of a build are checked before anything else', async () => {
  await expect(build(story, { targets: [] })).rejects.toThrow(/error\[bad-option\]: option targets/)
  await expect(build(story, { targets: 'gfx942', maxBatch: 33 })).rejects.toThrow(/option maxBatch/)
  await expect(build(story, { targets: 'gfx942', onKernels: 5 as never })).rejects.toThrow(/option onKernels.*function/)
  await expect(build(story, { targets: ['gfx942', 'gfx1105'] })).rejects.toThrow(/unknown target `gfx1105`/)
})

describe('for the host, through a bundle', () => {
  const bundle = () => join(folder, 'story.kernels')

  test('builds, and a second build finds everything', async () => {
    const first = await json(['build', story, '--target', 'host', '--out', bundle()])
    expect(first.code).toBe(0)
    const programs = first.targets[0].programs
    expect(programs.length).toBeGreaterThan(10)
    expect(first.bundle.entries).toBe(programs.length)
    const again = await json(['build', story, '--target', 'host'])
    expect(again.targets[0].programs.every(({ fromCache }: { fromCache: boolean }) => fromCache)).toBe(true)
  })

  test('cache ls lists it; a run from it compiles nothing', async () => {
    const listed = await json(['cache', 'ls'])
    expect(new Set(listed.entries.map(({ target }: { target: string }) => target))).toEqual(new Set(['host']))
    const { stdout } = await rocmforge(['cache', 'ls'], { env: env() })
    expect(stdout).toMatch(/^host +gemv +matmul\/gemv\.hip/m)
    const run = await json(['run', story, '-p', 'Once', '-n', '2', '--device', 'host'])
    expect(run.timings.kernelsFromCache).toBe(run.timings.kernels)
  })

  test('--max-batch adds the kernels of batched steps; a script finds all of them', async () => {
    const one = await json(['build', story, '--target', 'host'])
    const four = await json(['build', story, '--target', 'host', '--max-batch', '4'])
    const keys = ({ targets }: BuildReport) => targets[0]!.programs.map(({ key }) => key)
    expect(four.targets[0].programs.length).toBeGreaterThan(one.targets[0].programs.length)
    expect(keys(four)).toEqual(expect.arrayContaining(keys(one)))
    const script = `
      import { build } from ${JSON.stringify(pathToFileURL(join(packageRoot(), 'dist/index.js')))}
      const seen = []
      const onTargets = (targets) => seen.push(...targets.map(({ target }) => target))
      const onKernels = ({ done, total, fromCache }) => seen.push(done === total && total === fromCache)
      const report = await build(${JSON.stringify(story)}, { targets: ['host'], maxBatch: 4, onTargets, onKernels })
      console.log(JSON.stringify({ seen, report }))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      env: { ...process.env, ...env() },
    })
    const { seen, report } = JSON.parse(stdout)
    expect([seen[0], seen.at(-1)]).toEqual(['host', true])
    expect(keys(report).sort()).toEqual(keys(four).sort())
    expect(Number.isInteger(report.ms)).toBe(true)
  })

  test('an import checks each kernel on this machine, and remembers', async () => {
    const other = { ROCMFORGE_CACHE_DIR: join(folder, 'imported') }
    const { code, entries, selfChecks } = await json(['cache', 'import', bundle()], other)
    expect(code).toBe(0)
    expect(selfChecks).toHaveLength(1)
    expect(selfChecks[0].checked).toHaveLength(entries)
    expect(selfChecks[0].checked.filter(({ outcome }: { outcome: string }) => outcome !== 'passed')).toEqual([])
    const listed = await json(['cache', 'ls'], other)
    for (const { selfCheck } of listed.entries) expect(selfCheck.outcome).toBe('passed')
    const again = await json(['cache', 'import', bundle()], other)
    expect({ entries: again.entries, skipped: again.skipped.length, checks: again.selfChecks }).toEqual({
      entries: 0,
      skipped: entries,
      checks: [],
    })
  })

  test('verify finds a flipped byte, --remove deletes it, prune and clear empty the cache', async () => {
    const other = { ROCMFORGE_CACHE_DIR: join(folder, 'imported') }
    const host = join(folder, 'imported', 'host')
    const victim = join(host, readdirSync(host).find((name) => name.endsWith('.kernel'))!)
    const bytes = readFileSync(victim)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(victim, bytes)
    const found = await json(['cache', 'verify'], other)
    expect({ code: found.code, damaged: found.damaged.length }).toEqual({ code: 1, damaged: 1 })
    const removed = await json(['cache', 'verify', '--remove'], other)
    expect({ code: removed.code, removed: removed.damaged[0].removed }).toEqual({ code: 0, removed: true })
    expect((await json(['cache', 'verify'], other)).damaged).toEqual([])
    const before = (await json(['cache', 'ls'], other)).entries.length
    const pruned = await json(['cache', 'prune', '--max-mib', '0'], other)
    expect(pruned.removed).toBe(before)
    expect((await json(['cache', 'clear'], env())).removed).toBeGreaterThan(10)
    expect((await json(['cache', 'ls'])).entries).toEqual([])
  })

  test('a damaged bundle is refused as a whole', async () => {
    const damaged = join(folder, 'damaged.kernels')
    copyFileSync(bundle(), damaged)
    const bytes = readFileSync(damaged)
    bytes[bytes.length >> 1]! ^= 1
    writeFileSync(damaged, bytes)
    const { code, stderr } = await rocmforge(['cache', 'import', damaged], { env: env() })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error\[bad-bundle\]/)
    expect((await json(['cache', 'ls'])).entries).toEqual([])
  })

  test('there is nothing to export from an empty cache', async () => {
    const { code, stderr } = await rocmforge(['cache', 'export', join(folder, 'none')], { env: env() })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error\[empty-bundle\]/)
  })
})

describe.runIf(hipRtc !== undefined)('for gfx targets', () => {
  test('kernels of two wave sizes, no spills, exported by target', async () => {
    const report = await json(['build', story, '--target', 'gfx942,gfx1100'])
    expect(report.targets.map(({ target }: { target: string }) => target)).toEqual(['gfx942', 'gfx1100'])
    const waves = { gfx942: 64, gfx1100: 32 } as Record<string, number>
    for (const { target, programs } of report.targets)
      for (const { kernels } of programs)
        for (const kernel of kernels)
          expect(kernel).toMatchObject({ waveSize: waves[target], scratchBytes: 0, vgprSpills: 0 })
    const file = join(folder, 'gfx.kernels')
    const one = await json(['cache', 'export', file, '--target', 'gfx1100'])
    expect(one.targets).toEqual(['gfx1100'])
    const { stdout } = await rocmforge(['build', story, '--target', 'gfx942'], { env: env() })
    expect(stdout).toMatch(/^gfx942 +gemv +cached/m)
    const imported = await json(['cache', 'import', file], { ROCMFORGE_CACHE_DIR: join(folder, 'gfx') })
    expect(imported.selfChecks).toEqual([]) // no such GPU here
  })
})
