// Library discovery on described machines: every release, Linux and Windows, mixed and damaged installations.
import { describe, expect, test } from 'vitest'
import { findCudaDriver, findHip, findNvrtc } from '../../../runtime/platform/discovery.ts'
import { machine, shown } from './fake-machine.ts'

const rocm = (major: number, comgr: number): string[] => [
  `/opt/rocm/lib/libamdhip64.so.${major}`,
  `/opt/rocm/lib/libhiprtc.so.${major}`,
  `/opt/rocm/lib/libhiprtc-builtins.so.${major}`,
  `/opt/rocm/lib/libamd_comgr.so.${comgr}`,
]

describe('HIP on Linux', () => {
  test('nothing found says so and lists nothing', () => {
    expect(findHip(machine({}))).toEqual({ found: undefined, problem: 'no HIP library found', tried: [] })
  })

  test.each([
    [5, 2],
    [6, 2],
    [6, 3],
    [7, 3],
    [8, 3],
  ])('release %i with comgr %i is a complete set', (major, comgr) => {
    expect(shown(findHip(machine({ files: rocm(major, comgr) })))).toEqual({
      why: '/opt/rocm',
      runtime: `/opt/rocm/lib/libamdhip64.so.${major}`,
      compiler: `/opt/rocm/lib/libhiprtc.so.${major}`,
      builtins: `/opt/rocm/lib/libhiprtc-builtins.so.${major}`,
      comgr: `/opt/rocm/lib/libamd_comgr.so.${comgr}`,
    })
  })

  test('up to 6 the runtime is its own run-time compiler', () => {
    const debian12 = ['/usr/lib/x86_64-linux-gnu/libamdhip64.so.5', '/usr/lib/x86_64-linux-gnu/libamd_comgr.so.2']
    expect(shown(findHip(machine({ files: debian12 })))).toEqual({
      why: 'loader path',
      runtime: debian12[0],
      compiler: debian12[0],
      comgr: debian12[1],
    })
  })

  test('7 without libhiprtc runs but cannot compile', () => {
    expect(shown(findHip(machine({ files: rocm(7, 3).filter((file) => !file.includes('hiprtc.so')) })))).toEqual({
      why: '/opt/rocm',
      runtime: '/opt/rocm/lib/libamdhip64.so.7',
      problem: 'libamdhip64.so.7 holds no run-time compiler and no libhiprtc of major 7 lies beside it',
    })
  })

  test('mixed majors are refused', () => {
    const files = ['/opt/rocm/lib/libamdhip64.so.7', '/opt/rocm/lib/libhiprtc.so.6', '/opt/rocm/lib/libamd_comgr.so.3']
    const search = findHip(machine({ files }))
    expect(search.found?.compiler).toBeUndefined()
    expect(search.problem).toBe('libamdhip64.so.7 and libhiprtc.so.6 are of different majors: refusing to mix them')
    expect(search.tried).toContainEqual({
      path: '/opt/rocm/lib/libhiprtc.so.6',
      why: '/opt/rocm',
      rejected: 'major 6 beside libamdhip64.so.7: mixed majors do not work together',
    })
  })

  test('a complete installation further on is preferred to half a one', () => {
    const files = ['/opt/rocm/lib/libamdhip64.so.7', '/opt/rocm-6.2.0/lib/libamdhip64.so.6']
    const set = [...files, '/opt/rocm-6.2.0/lib/libhiprtc.so.6', '/opt/rocm-6.2.0/lib/libamd_comgr.so.2']
    expect(shown(findHip(machine({ files: set })))).toMatchObject({ why: '/opt/rocm-6.2.0', runtime: files[1] })
  })

  test('comgr of another major is refused: hipRTC would crash', () => {
    expect(shown(findHip(machine({ files: rocm(7, 2) })))).toMatchObject({
      problem: 'libhiprtc.so.7 needs comgr 3 beside it, found libamd_comgr.so.2: it would crash without',
    })
    const none = rocm(6, 3).filter((file) => !file.includes('comgr'))
    expect(shown(findHip(machine({ files: none }))).problem).toBe(
      'libhiprtc.so.6 needs comgr 3 or 2 beside it: it would crash without',
    )
  })

  test('hipRTC without its built-ins is usable', () => {
    const files = rocm(6, 3).filter((file) => !file.includes('builtins'))
    expect(shown(findHip(machine({ files })))).toMatchObject({ compiler: '/opt/rocm/lib/libhiprtc.so.6' })
  })

  test('an unversioned name counts by what it points to', () => {
    const search = findHip(
      machine({
        files: ['/opt/rocm/lib/libamdhip64.so', '/opt/rocm/lib/libhiprtc.so', '/opt/rocm/lib/libamd_comgr.so.3'],
        links: {
          '/opt/rocm/lib/libamdhip64.so': '/opt/rocm/lib/libamdhip64.so.7.2.53211',
          '/opt/rocm/lib/libhiprtc.so': '/opt/rocm/lib/libhiprtc.so.7.2.53211',
        },
      }),
    )
    expect(search.found).toMatchObject({ runtime: { major: 7 }, compiler: { major: 7 } })
    expect(findHip(machine({ files: ['/opt/rocm/lib/libamdhip64.so'] })).tried).toEqual([
      { path: '/opt/rocm/lib/libamdhip64.so', why: '/opt/rocm', rejected: 'its release cannot be told from its name' },
    ])
  })

  test('a compiler alone is enough to build for other machines', () => {
    const files = ['/kit/usr/lib/x86_64-linux-gnu/libhiprtc.so.6', '/kit/usr/lib/x86_64-linux-gnu/libamd_comgr.so.3']
    const search = findHip(machine({ files, env: { ROCMFORGE_ROCM_PATH: '/kit' } }))
    expect(shown(search)).toEqual({ why: 'ROCMFORGE_ROCM_PATH', compiler: files[0], comgr: files[1] })
  })

  test.each([
    ['a 32-bit library', 'is a 32-bit library'],
    ['another processor', 'is built for another processor'],
    ['text', 'is not a shared library'],
    ['empty', 'cannot be read'],
  ])('%s is passed over', (kind, rejected) => {
    const path = '/opt/rocm/lib/libamdhip64.so.7'
    const files = [path, ...rocm(6, 3)]
    const search = findHip(machine({ files, damaged: { [path]: kind } }))
    expect(search.tried).toContainEqual({ path, why: '/opt/rocm', rejected })
    expect(search.found?.runtime?.path).toBe('/opt/rocm/lib/libamdhip64.so.6')
  })

  test('order: own setting alone, ROCM_PATH, HIP_PATH, wheels, /opt/rocm, core-*, releases, loader', () => {
    const places: [string, Record<string, string>][] = [
      ['/own/lib', { ROCMFORGE_ROCM_PATH: '/own' }],
      ['/a/lib', { ROCM_PATH: '/a' }],
      ['/b/lib', { HIP_PATH: '/b' }],
      ['/venv/lib/python3.12/site-packages/_rocm_sdk_core/lib', { VIRTUAL_ENV: '/venv' }],
      ['/opt/rocm/lib', {}],
      ['/opt/rocm/core-10.2/lib', {}],
      ['/opt/rocm/core-10.1/lib', {}],
      ['/opt/rocm-7.10.0/lib', {}],
      ['/opt/rocm-7.2.0/lib', {}],
      ['/usr/lib/x86_64-linux-gnu', {}],
    ]
    const set = (folder: string): string[] =>
      ['libamdhip64.so.7', 'libhiprtc.so.7', 'libamd_comgr.so.3'].map((name) => `${folder}/${name}`)
    for (let first = 0; first < places.length; first++) {
      const rest = places.slice(first)
      const env = Object.assign({}, ...rest.map(([, settings]) => settings))
      const view = machine({ files: rest.flatMap(([folder]) => set(folder)), env })
      expect(findHip(view).found?.runtime?.path).toBe(`${rest[0]![0]}/libamdhip64.so.7`)
    }
  })

  test('a folder that the user named is the only one searched', () => {
    const search = findHip(machine({ files: rocm(7, 3), env: { ROCMFORGE_ROCM_PATH: '/elsewhere' } }))
    expect(search).toEqual({
      found: undefined,
      problem: 'no HIP library found in ROCMFORGE_ROCM_PATH=/elsewhere',
      tried: [],
    })
  })
})

describe('HIP on Windows', () => {
  const system = 'C:\\Windows\\System32'
  test.each([
    ['amdhip64_7.dll', 'hiprtc0714.dll', 'amd_comgr_3.dll'],
    ['amdhip64_7.dll', 'hiprtc0700.dll', 'amd_comgr0700.dll'],
    ['amdhip64_6.dll', 'hiprtc0604.dll', 'amd_comgr_2.dll'],
    ['amdhip64_6.dll', 'hiprtc0602.dll', 'amd_comgr0602.dll'],
    ['amdhip64.dll', 'hiprtc0507.dll', 'amd_comgr.dll'],
  ])('%s, %s and %s belong together', (...names) => {
    const files = names.map((name) => `${system}\\${name}`)
    expect(shown(findHip(machine({ os: 'windows', files })))).toEqual({
      why: 'System32 and PATH',
      runtime: files[0],
      compiler: files[1],
      comgr: files[2],
    })
  })

  test('the newest hipRTC of the runtime’s major is taken', () => {
    const files = ['amdhip64_6.dll', 'hiprtc0602.dll', 'hiprtc0604.dll', 'hiprtc0700.dll', 'amd_comgr_2.dll']
    const search = findHip(machine({ os: 'windows', files: files.map((name) => `${system}\\${name}`) }))
    expect(search.found?.compiler?.path).toBe(`${system}\\hiprtc0604.dll`)
  })

  test('a 32-bit DLL is passed over', () => {
    const path = `${system}\\amdhip64_7.dll`
    const search = findHip(machine({ os: 'windows', files: [path], damaged: { [path]: 'a 32-bit library' } }))
    expect(search.problem).toBe('none of the HIP libraries found can be used')
    expect(search.tried[0]?.rejected).toContain('another processor')
  })

  test('HIP_PATH goes before System32', () => {
    const names = ['amdhip64_6.dll', 'hiprtc0604.dll', 'amd_comgr_2.dll']
    const files = [...names.map((name) => `C:\\HIP\\bin\\${name}`), ...names.map((name) => `${system}\\${name}`)]
    const search = findHip(machine({ os: 'windows', files, env: { HIP_PATH: 'C:\\HIP' } }))
    expect(search.found?.why).toBe('HIP_PATH')
  })
})

describe('CUDA', () => {
  test('the driver is never a stand-in of a toolkit', () => {
    const files = ['/usr/local/cuda/compat/libcuda.so.1', '/usr/lib/x86_64-linux-gnu/libcuda.so.1']
    const env = { LD_LIBRARY_PATH: '/usr/local/cuda/compat:/usr/local/cuda/lib64/stubs' }
    const search = findCudaDriver(machine({ files, env }))
    expect(search.found?.path).toBe(files[1])
    expect(search.tried[0]).toMatchObject({ path: files[0], rejected: 'a stand-in for linking, not the driver' })
  })

  test('containers and WSL keep the driver in folders of their own', () => {
    for (const path of ['/usr/local/nvidia/lib64/libcuda.so.1', '/usr/lib/wsl/lib/libcuda.so.1']) {
      expect(findCudaDriver(machine({ files: [path] })).found?.path).toBe(path)
    }
  })

  test('NVRTC: the newest of the first place; too old ones are passed over', () => {
    const wheel = '/venv/lib/python3.12/site-packages/nvidia/cu13/lib/libnvrtc.so.13'
    const files = ['/usr/local/cuda-12.4/lib64/libnvrtc.so.12', '/usr/local/cuda-9.2/lib64/libnvrtc.so.9.2', wheel]
    const env = { VIRTUAL_ENV: '/venv' }
    expect(findNvrtc(machine({ files, env })).found).toEqual({ path: wheel, major: 13 })
    expect(findNvrtc(machine({ files })).found).toEqual({ path: files[0], major: 12 })
    expect(findNvrtc(machine({ files: [files[1]!] })).tried[0]?.rejected).toContain('oldest')
  })

  test('Windows names', () => {
    const files = [
      'C:\\Windows\\System32\\nvcuda.dll',
      'C:\\CUDA\\bin\\nvrtc64_120_0.dll',
      'C:\\CUDA\\bin\\nvrtc64_130_0.dll',
    ]
    const view = machine({ os: 'windows', files, env: { CUDA_PATH: 'C:\\CUDA' } })
    expect(findCudaDriver(view).found?.path).toBe(files[0])
    expect(findNvrtc(view).found).toEqual({ path: files[2], major: 13 })
  })

  test('both vendors at once do not disturb each other', () => {
    const view = machine({ files: [...rocm(7, 3), '/usr/lib/x86_64-linux-gnu/libcuda.so.1'] })
    expect(findHip(view).found?.compiler).toBeDefined()
    expect(findCudaDriver(view).found).toBeDefined()
  })
})
