// rocmforge devices, on machines whose HIP libraries the tests choose.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeFakeHip } from './fake-hip.ts'
import { rocmforge, story } from './spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'devices-'))
const [none, noGpus] = [join(folder, 'none'), join(folder, 'no-gpus')]
beforeAll(async () => {
  mkdirSync(none)
  mkdirSync(noGpus)
  await makeFakeHip(noGpus)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const hidden = { HIP_VISIBLE_DEVICES: '-1', ROCR_VISIBLE_DEVICES: '-1', CUDA_VISIBLE_DEVICES: '-1' }
/** Machines without an AMD GPU, and what is said of each. */
const machines: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
  ['no HIP library', { ...hidden, ROCMFORGE_ROCM_PATH: none }, `no HIP library found in ROCMFORGE_ROCM_PATH=${none}`],
  ['HIP’s library and no GPU', { ...hidden, ROCMFORGE_ROCM_PATH: noGpus }, 'no AMD GPU'],
]

describe('devices', () => {
  test('as JSON: host and reference are always there, one device is the default, each has its reason', async () => {
    const { code, stdout } = await rocmforge(['devices', '--json'])
    expect(code).toBe(0)
    const { devices, platforms } = JSON.parse(stdout)
    const ids = devices.map(({ id }: { id: string }) => id)
    expect(ids.slice(-2)).toEqual(['host', 'reference'])
    expect(devices.filter(({ use }: { use: string }) => use === 'default')).toHaveLength(1)
    for (const { reason } of devices) expect(reason).not.toBe('')
    expect(platforms.map(({ platform }: { platform: string }) => platform)).toEqual(['amd', 'nvidia'])
  })

  test.each(machines)('as a table, with what is missing below it: %s', async (_, env, said) => {
    const { code, stdout } = await rocmforge(['devices'], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\* {2}host /m)
    expect(stdout).toMatch(/^- {2}reference /m)
    expect(stdout).toContain(`\namd: ${said}`)
    expect(stdout).toContain('rocmforge doctor')
  })

  test('--targets lists what kernels can be compiled for', async () => {
    const { stdout } = await rocmforge(['devices', '--targets'])
    for (const name of ['gfx906', 'gfx942', 'gfx1100', 'gfx1201', 'sm_90'])
      expect(stdout).toMatch(new RegExp(`^${name} `, 'm'))
    const targets = JSON.parse((await rocmforge(['devices', '--targets', '--json'])).stdout)
    expect(targets.find(({ name }: { name: string }) => name === 'gfx942').wave).toBe(64)
  })

  test.each(machines)('a device that is not here is refused with those that are: %s', async (_, env, said) => {
    const { code, stderr } = await rocmforge(['run', story, '-p', 'x', '--device', 'amd'], { env })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error\[no-device\]: no device `amd` on this machine/)
    expect(stderr).toMatch(/found +host/)
    expect(stderr).toContain(`amd    ${said}`)
    expect(stderr).toContain('rocmforge doctor')
  })
})
