// Bundles of the story model for three GPUs, made without one and replayed as host code under emulation.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { findTarget, hostTarget } from '../../codegen/targets.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { atLeast, findToolchains, selectToolchain } from '../../runtime/compile/toolchains.ts'
import { readReplay, replayBundle } from '../../runtime/inspect/replay.ts'
import { type ComputeDevice, openDevice } from '../../src/api/device.ts'
import { recordBundle } from '../../src/api/record.ts'

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-replay-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const service = createCompileService({ cache: openKernelCache() })
afterAll(() => service[Symbol.dispose]())

const prompt = 'Once upon a time there was a little girl'
const reference = JSON.parse(readFileSync('models/reference.json', 'utf8')).models['story-3m'][0]

/** Why no code object can be made for a target here, if so. */
function missingCompiler(target: string): string | undefined {
  try {
    const { version } = selectToolchain(findTarget(target))
    return atLeast(version, '6.4')
      ? undefined
      : `hipRTC ${version} knows no such target; rocmforge toolchain 6.4 brings one`
  } catch (error) {
    return error instanceof Diagnostic ? error.summary : String(error)
  }
}

const record = (target: string, out: string, steps = 4) =>
  recordBundle('models/story-3m', { prompt, steps, target: findTarget(target), service, out })

async function replayOnHost(out: string, options: { isolated?: boolean } = {}) {
  const device = (await openDevice('host')) as ComputeDevice
  try {
    return await replayBundle(out, { driver: device.driver, target: hostTarget(), service: device.service, ...options })
  } finally {
    device[Symbol.dispose]()
  }
}

describe.each(['gfx942', 'gfx1100'])('%s', (target) => {
  const reason = missingCompiler(target)
  if (reason) console.log(`skipped ${target}: ${reason} (toolchains: ${findToolchains().length})`)
  test.runIf(!reason)('one prefill and four decode steps, recorded without the GPU, agree when replayed', async () => {
    const out = join(folder, target)
    const { replay } = await record(target, out)
    expect(replay.steps.map(({ name }) => name)).toEqual([
      'prefill 0…9',
      'decode 0',
      'decode 1',
      'decode 2',
      'decode 3',
    ])
    expect(replay.model.tokenIds).toEqual(reference.token_ids.slice(0, 5))
    expect(readReplay(out)).toEqual(replay)
    const report = await replayOnHost(out)
    expect(report.findings).toEqual([])
    expect(report.launches).toBe(replay.steps.reduce((n, step) => n + step.launches.length, 0))
    expect(report.compared).toBeGreaterThan(report.launches * 0.9)
  })
})

describe('damaged bundles', () => {
  const reason = missingCompiler('gfx1100')
  if (reason) console.log(`skipped damaged bundles: ${reason}`)
  const out = join(folder, 'damaged')
  test.runIf(!reason)('each gives one clear error', async () => {
    const { replay } = await record('gfx1100', out, 1)
    const file = join(out, replay.kernels[0]!.source.path)
    const text = readFileSync(file)
    writeFileSync(file, text.subarray(1))
    await expect(replayOnHost(out)).rejects.toMatchObject({
      code: 'bad-replay',
      summary: expect.stringContaining('damaged'),
    })
    writeFileSync(file, text)
    const manifest = join(out, 'replay.json')
    const outside = structuredClone(replay) as { kernels: { source: { path: string } }[] }
    outside.kernels[0]!.source.path = '../../secret'
    writeFileSync(manifest, JSON.stringify(outside))
    await expect(replayOnHost(out)).rejects.toMatchObject({ code: 'bad-replay' })
    const misshapen = JSON.parse(JSON.stringify(replay))
    misshapen.steps[0].launches[0].expected[0].shape = [1e9, 1e9]
    writeFileSync(manifest, JSON.stringify(misshapen))
    await expect(replayOnHost(out)).rejects.toMatchObject({ code: 'bad-replay' })
    writeFileSync(manifest, '{')
    await expect(replayOnHost(out)).rejects.toMatchObject({ code: 'bad-replay' })
    await expect(record('gfx1100', out)).rejects.toMatchObject({ code: 'folder-not-empty' })
  })

  test.runIf(!reason)('a wrong result is found, and with isolated inputs only where it happened', async () => {
    const wrong = join(folder, 'wrong')
    const { replay } = await record('gfx1100', wrong, 1)
    // whatever takes the second norm of the first layer multiplies by another weight
    const isNorm = (arg: object): boolean => 'buffer' in arg && arg.buffer === '@blk.0.ffn_norm.weight'
    const launch = replay.steps[0]!.launches.find(({ args }) => args.some(isNorm))!
    const w = launch.args.find(isNorm)!
    Object.assign(w, { buffer: '@blk.3.ffn_norm.weight' })
    writeFileSync(join(wrong, 'replay.json'), JSON.stringify(replay))
    const all = await replayOnHost(wrong)
    expect(all.findings[0]!.label).toBe(launch.label)
    expect(all.findings.length).toBeGreaterThan(5)
    const isolated = await replayOnHost(wrong, { isolated: true })
    expect(isolated.findings.map(({ label }) => label)).toEqual([launch.label])
  })
})
