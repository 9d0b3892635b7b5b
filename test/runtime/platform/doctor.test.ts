// Doctor's checks on described machines: what is wrong, and the fix.
import { describe, expect, test } from 'vitest'
import type { DeviceSurvey } from '../../../runtime/platform/devices.ts'
import { type Check, platformChecks } from '../../../runtime/platform/doctor.ts'
import type { SystemView } from '../../../runtime/platform/system-view.ts'
import { machine } from './fake-machine.ts'

const survey: DeviceSurvey = { devices: [], platforms: [] }
const healthy: SystemView = {
  access: () => 'ok',
  group: () => 109,
  groupName: (gid) => (gid === 109 ? 'render' : undefined),
  groups: () => [1000],
  renderNodes: () => ['/dev/dri/renderD128'],
  inContainer: () => false,
  gpus: () => ['amd'],
}
const nothing: SystemView = { ...healthy, access: () => 'missing', renderNodes: () => [], gpus: () => [] }

const check = (id: string, system: SystemView, env: Record<string, string> = {}, files: string[] = []): Check =>
  platformChecks({ survey, system, files: machine({ env, files }) }).find((entry) => entry.id === id)!

describe('doctor', () => {
  test('a machine without any GPU has nothing to complain about', () => {
    const statuses = new Set(
      platformChecks({ survey, system: nothing, files: machine({}) }).map(({ status }) => status),
    )
    expect([...statuses].sort()).toEqual(['ok', 'skip'])
  })

  test('an AMD GPU without libraries is a failure', () => {
    expect(check('hip-libraries', healthy)).toMatchObject({ status: 'fail', detail: 'no HIP library found' })
  })

  test('an NVIDIA GPU without NVRTC is a failure, unless one was brought into the toolchains', () => {
    const system: SystemView = { ...healthy, gpus: () => ['nvidia'] }
    const nvrtc = (nvrtcBrought: boolean) =>
      platformChecks({ survey, system, files: machine({}), nvrtcBrought }).find(({ id }) => id === 'nvrtc')
    expect(nvrtc(false)).toMatchObject({ status: 'fail', fix: expect.stringContaining('`rocmforge toolchain nvrtc`') })
    expect(nvrtc(true)).toMatchObject({ status: 'ok', detail: 'none is installed; nvrtc-toolchains has one' })
  })

  test('libraries found are shown with where they were looked for', () => {
    const files = ['/opt/rocm/lib/libamdhip64.so.6', '/opt/rocm/lib/libhiprtc.so.6', '/opt/rocm/lib/libamd_comgr.so.3']
    expect(check('hip-libraries', healthy, {}, files)).toEqual({
      id: 'hip-libraries',
      status: 'ok',
      detail: `${files.join(', ')} (by /opt/rocm)`,
    })
  })

  test.each<[string, Partial<SystemView>, string]>([
    ['not in the group', {}, 'add this user to the group: sudo usermod -aG render $USER, then log in again'],
    ['in a container', { inContainer: () => true }, 'start the container with --group-add=109'],
    ['in the group', { groups: () => [109] }, 'give group render read and write access: sudo chmod g+rw /dev/kfd'],
    [
      'group without a name',
      { groupName: () => undefined },
      'group 109 of /dev/kfd has no name here: sudo groupadd -g 109 render && sudo usermod -aG render $USER',
    ],
  ])('/dev/kfd denied, %s', (_, more, fix) => {
    const found = check('kfd', { ...healthy, access: () => 'denied', ...more })
    expect(found).toMatchObject({ status: 'fail', fix })
    expect(found.detail).toContain('gid 109')
  })

  test('/dev/kfd missing: driver on the machine, flags in a container', () => {
    expect(check('kfd', { ...healthy, access: () => 'missing' }).fix).toContain('modprobe amdgpu')
    expect(check('kfd', { ...healthy, access: () => 'missing', inContainer: () => true }).fix).toContain(
      '--device=/dev/kfd',
    )
    expect(check('kfd', nothing).status).toBe('skip')
  })

  test('render nodes', () => {
    const denied: SystemView = { ...healthy, access: (path) => (path.includes('render') ? 'denied' : 'ok') }
    expect(check('render-nodes', denied)).toMatchObject({ status: 'fail', fix: expect.stringContaining('render') })
    expect(check('render-nodes', healthy).status).toBe('ok')
  })

  test.each([
    [{ HIP_VISIBLE_DEVICES: '' }, 'warn', 'hides every GPU'],
    [{ CUDA_VISIBLE_DEVICES: '-1' }, 'warn', 'hides every GPU'],
    [{ HIP_VISIBLE_DEVICES: '0', ROCR_VISIBLE_DEVICES: '1' }, 'warn', "HIP's numbers count only what ROCR left"],
    [{ HIP_VISIBLE_DEVICES: 'GPU-0123' }, 'ok', 'HIP_VISIBLE_DEVICES=GPU-0123'],
    [{}, 'ok', 'no variable hides devices'],
  ])('visible devices %j', (env, status, detail) => {
    const found = check('visible-devices', healthy, env as Record<string, string>)
    expect(found.status).toBe(status)
    expect(found.detail).toContain(detail)
  })

  test('variables that change targets or code are pointed at', () => {
    expect(check('gfx-override', healthy, { HSA_OVERRIDE_GFX_VERSION: '11.0.0' })).toMatchObject({ status: 'warn' })
    expect(check('compiler-variables', healthy, { GPU_ENABLE_WGP_MODE: '0' })).toMatchObject({
      status: 'warn',
      fix: 'unset GPU_ENABLE_WGP_MODE',
    })
  })

  test('a runtime that sees no device fails only where there is one', () => {
    const blind: DeviceSurvey = {
      devices: [],
      platforms: [{ platform: 'amd', status: 'no-device', detail: 'no AMD GPU: hipInit says 100', tried: [] }],
    }
    const of = (system: SystemView) =>
      platformChecks({ survey: blind, system, files: machine({}) }).find(({ id }) => id === 'amd-devices')
    expect(of(healthy)).toMatchObject({ status: 'fail', fix: expect.any(String) })
    expect(of(nothing)).toEqual({ id: 'amd-devices', status: 'skip', detail: 'no AMD GPU: hipInit says 100' })
  })

  test('this machine can be examined', () => {
    for (const { id, detail } of platformChecks({ survey })) expect(`${id}: ${detail}`).toMatch(/^[a-z-]+: ./)
  })
})
