// rocmforge devices, on whatever machine runs the tests.
import { describe, expect, test } from 'vitest'
import { rocmforge, story } from './spawn.ts'

const noGpu = { HIP_VISIBLE_DEVICES: '-1', ROCR_VISIBLE_DEVICES: '-1', CUDA_VISIBLE_DEVICES: '-1' }

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

  test('as a table, with what is missing below it', async () => {
    const { code, stdout } = await rocmforge(['devices'], { env: noGpu })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^\* {2}host /m)
    expect(stdout).toMatch(/^- {2}reference /m)
    expect(stdout).toMatch(/^amd: (no AMD GPU|no HIP runtime)/m)
    expect(stdout).toContain('rocmforge doctor')
  })

  test('--targets lists what kernels can be compiled for', async () => {
    const { stdout } = await rocmforge(['devices', '--targets'])
    for (const name of ['gfx906', 'gfx942', 'gfx1100', 'gfx1201', 'sm_90'])
      expect(stdout).toMatch(new RegExp(`^${name} `, 'm'))
    const targets = JSON.parse((await rocmforge(['devices', '--targets', '--json'])).stdout)
    expect(targets.find(({ name }: { name: string }) => name === 'gfx942').wave).toBe(64)
  })

  test('a device that is not here is refused with the list of those that are', async () => {
    const { code, stderr } = await rocmforge(['run', story, '-p', 'x', '--device', 'amd'], { env: noGpu })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error\[no-device\]: no device `amd` on this machine/)
    expect(stderr).toMatch(/found +host/)
    expect(stderr).toMatch(/amd +(no AMD GPU|no HIP runtime)/)
    expect(stderr).toContain('rocmforge doctor')
  })
})
