// The survey of devices and the choice among them, on described machines with a scripted probe.
import { describe, expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { type DeviceSurvey, resolveDevice, selectDevice, surveyDevices } from '../../../runtime/platform/devices.ts'
import type { ProbeAnswer } from '../../../runtime/platform/probe-answer.ts'
import { type DeviceProperties, hostProperties } from '../../../runtime/platform/properties.ts'
import { machine } from './fake-machine.ts'

const amdFiles = ['/opt/rocm/lib/libamdhip64.so.7', '/opt/rocm/lib/libhiprtc.so.7', '/opt/rocm/lib/libamd_comgr.so.3']
const nvidiaFiles = ['/usr/lib/x86_64-linux-gnu/libcuda.so.1', '/usr/local/cuda/lib64/libnvrtc.so.13']

const gpu = (
  platform: 'amd' | 'nvidia',
  ordinal: number,
  targetId: string,
  more: Partial<DeviceProperties> = {},
): DeviceProperties => ({
  ...hostProperties(),
  platform,
  ordinal,
  name: `${platform} ${targetId}`,
  target: targetId.split(':')[0]!,
  targetId,
  integrated: false,
  ...more,
})

const answer = (...devices: DeviceProperties[]): ProbeAnswer => ({
  status: 'ok',
  devices: devices.map((properties) => ({ properties })),
  failures: [],
  driverVersion: 1,
  runtimeVersion: 1,
})

const survey = (
  answers: { amd?: ProbeAnswer; nvidia?: ProbeAnswer },
  files: readonly string[] = [...amdFiles, ...nvidiaFiles],
): Promise<DeviceSurvey> =>
  surveyDevices({
    files: machine({ files }),
    probe: async ({ platform }) => answers[platform] ?? { status: 'no-device', detail: 'none' },
  })

const lines = ({ devices }: DeviceSurvey): string[] => devices.map(({ id, use, reason }) => `${id} ${use}: ${reason}`)
const caught = (run: () => unknown): Diagnostic => {
  try {
    run()
  } catch (error) {
    return error as Diagnostic
  }
  throw new Error('nothing was thrown')
}

const mixed = () =>
  survey({
    amd: answer(
      gpu('amd', 0, 'gfx1103', { integrated: true }),
      gpu('amd', 1, 'gfx1201', { uuid: 'GPU-0123456789abcdef', pciBusId: '0000:03:00.0' }),
      gpu('amd', 2, 'gfx90a:sramecc+:xnack-'),
    ),
    nvidia: answer(gpu('nvidia', 0, 'sm_90', { uuid: 'GPU-00112233-4455-6677-8899-aabbccddeeff' })),
  })

describe('survey', () => {
  test('puts discrete before integrated and amd before nvidia, and says why', async () => {
    expect(lines(await mixed())).toEqual([
      'amd:1 default: used by default',
      'amd:2 candidate: amd:1 is preferred',
      'nvidia:0 candidate: amd:1 is preferred',
      'amd:0 candidate: integrated; amd:1 is preferred',
      'host candidate: the CPU; amd:1 is preferred',
      'reference skipped: the reference executor: exact and slow, used when asked for',
    ])
  })

  test('uses an integrated GPU when there is no other', async () => {
    const only = await survey({ amd: answer(gpu('amd', 0, 'gfx1151', { integrated: true })) })
    expect(only.devices[0]).toMatchObject({ id: 'amd:0', use: 'default' })
  })

  test('a runtime without a GPU leaves the CPU and a reason', async () => {
    const none = await survey({ amd: { status: 'no-device', detail: 'hipInit says hipErrorNoDevice' } }, amdFiles)
    expect(none.devices.map(({ id }) => id)).toEqual(['host', 'reference'])
    expect(none.platforms.map(({ status, detail }) => `${status}: ${detail}`)).toEqual([
      'no-device: no AMD GPU: hipInit says hipErrorNoDevice',
      'absent: no CUDA driver (libcuda) found',
    ])
  })

  test('a crash of one runtime does not hide the other’s devices', async () => {
    const half = await survey({
      amd: { status: 'failed', detail: 'the runtime crashed (SIGSEGV)' },
      nvidia: answer(gpu('nvidia', 0, 'sm_90')),
    })
    expect(half.devices[0]?.id).toBe('nvidia:0')
    expect(half.platforms[0]).toMatchObject({
      status: 'failed',
      detail: 'HIP runtime (libamdhip64): the runtime crashed (SIGSEGV)',
    })
  })

  test('skips what cannot work: no compiler, unknown target', async () => {
    const bare = await survey({ amd: answer(gpu('amd', 0, 'gfx1100')) }, [amdFiles[0]!])
    expect(bare.devices[0]).toMatchObject({ id: 'amd:0', use: 'skipped' })
    expect(bare.devices[0]?.reason).toContain('no run-time compiler: libamdhip64.so.7')
    const odd = await survey({ amd: answer(gpu('amd', 0, 'gfx803')) })
    expect(odd.devices[0]).toMatchObject({ use: 'skipped', reason: 'unknown target `gfx803`' })
    expect(selectDevice('auto', odd).id).toBe('host')
  })

  test('starts nothing where neither library is on disk', async () => {
    let probes = 0
    const probe = async (): Promise<ProbeAnswer> => {
      probes++
      return { status: 'no-device', detail: '' }
    }
    expect((await resolveDevice('auto', { files: machine({}), probe })).id).toBe('host')
    expect((await resolveDevice('host', { files: machine({ files: amdFiles }), probe })).id).toBe('host')
    expect((await resolveDevice('reference', { files: machine({ files: amdFiles }), probe })).platform).toBe(
      'reference',
    )
    expect(probes).toBe(0)
  })

  test('asks only the platform that a name belongs to', async () => {
    const asked: string[] = []
    const files = machine({ files: [...amdFiles, ...nvidiaFiles] })
    const probe = async ({ platform }: { platform: string }): Promise<ProbeAnswer> => {
      asked.push(platform)
      return platform === 'amd' ? answer(gpu('amd', 0, 'gfx1100')) : answer(gpu('nvidia', 0, 'sm_90'))
    }
    for (const spec of ['amd', 'amd:0', 'gfx1100'])
      expect((await resolveDevice(spec, { files, probe })).id).toBe('amd:0')
    expect(asked).toEqual(['amd', 'amd', 'amd'])
    for (const spec of ['nvidia', 'sm_90']) expect((await resolveDevice(spec, { files, probe })).id).toBe('nvidia:0')
    expect(asked.slice(3)).toEqual(['nvidia', 'nvidia'])
  })
})

describe('selection', () => {
  test.each([
    ['auto', 'amd:1'],
    ['amd', 'amd:1'],
    ['amd:0', 'amd:0'],
    ['AMD:2', 'amd:2'],
    ['nvidia', 'nvidia:0'],
    ['gfx1201', 'amd:1'],
    ['gfx90a', 'amd:2'],
    ['gfx90a:sramecc+:xnack-', 'amd:2'],
    ['sm_90', 'nvidia:0'],
    ['GPU-0123456789abcdef', 'amd:1'],
    ['GPU-00112233', 'nvidia:0'],
    ['0000:03:00.0', 'amd:1'],
    ['host', 'host'],
    ['reference', 'reference'],
  ])('%s is %s', async (spec, id) => {
    expect(selectDevice(spec, await mixed()).id).toBe(id)
  })

  test('a device that is not there lists what is', async () => {
    const none = await survey({ amd: answer(gpu('amd', 0, 'gfx1100')) }, amdFiles)
    const error = caught(() => selectDevice('nvidia:1', none))
    expect(error.message.replace(hostProperties().name, 'CPU')).toMatchInlineSnapshot(`
      "error[no-device]: no device \`nvidia:1\` on this machine
        found  amd:0 (amd gfx1100, gfx1100): used by default
        found  host (CPU): the CPU; amd:0 is preferred
        found  reference: the reference executor: exact and slow, used when asked for
        nvidia no CUDA driver (libcuda) found
        help: choose one of these with --device (in a script, the option device), or let \`rocmforge doctor\` say what is missing"
    `)
  })

  test.each([
    ['cpu', 'host'],
    ['CUDA', 'nvidia:0'],
    ['cuda:0', 'nvidia:0'],
    ['rocm', 'amd:0'],
    ['hip:0', 'amd:0'],
    ['gpu', 'amd:0'],
  ])('%s is %s', async (spec, id) => {
    const both = await survey({ amd: answer(gpu('amd', 0, 'gfx1100')), nvidia: answer(gpu('nvidia', 0, 'sm_90')) })
    expect(selectDevice(spec, both).id).toBe(id)
  })

  test.each(['tpu', 'amd:x', 'cuda:x', 'gpu:3', 'cpu:1', '0', '', 'gfx', '../host'])('%j names no device', (spec) => {
    expect(caught(() => selectDevice(spec, [])).code).toBe('unknown-device')
  })
})
