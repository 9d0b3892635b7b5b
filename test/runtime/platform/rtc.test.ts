// The compiler bindings, in child processes as in use.
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { hipCompilerIdentity } from '../../../runtime/platform/compiler-identity.ts'
import { toolchainFor } from '../../toolchain.ts'

const folder = join(packageRoot(), 'node_modules', `.rtc-test-${process.pid}`)
const hipRtc = toolchainFor('6.4', 'the bindings of hipRTC')
const nvRtc = toolchainFor('nvrtc', 'the bindings of NVRTC')
const [hip, nvrtc] = [hipRtc?.hip, nvRtc?.nvrtc]

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  await build({
    stdin: {
      contents: `
        import { comgrTargets, hipRuntimeVersion, openHipRtc, openNvrtc } from './runtime/platform/rtc.ts'
        const [family, libraries, options, source] = JSON.parse(process.argv[2])
        const compiler = family === 'hiprtc' ? openHipRtc(libraries) : openNvrtc(libraries)
        const { image, ...result } = compiler.compile({ source, name: 'probe.hip', options })
        const facts = family === 'hiprtc'
          ? { targets: comgrTargets(libraries.comgr), version: libraries.runtime && hipRuntimeVersion(libraries.runtime) }
          : { targets: compiler.targets, version: compiler.version }
        console.log(JSON.stringify({ ...result, ...facts, image: image && [...image.subarray(0, 4)] }))`,
      resolveDir: packageRoot(),
      loader: 'ts',
    },
    outfile: join(folder, 'compile.js'),
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function compile(family: 'hiprtc' | 'nvrtc', ...input: unknown[]) {
  const { launcher } = (family === 'hiprtc' ? hipRtc : nvRtc)!
  const [program, ...words] = [...launcher, process.execPath, join(folder, 'compile.js')]
  return JSON.parse(execFileSync(program!, [...words, JSON.stringify([family, ...input])], { encoding: 'utf8' }))
}

const good = 'extern "C" __global__ void k(float* p) { p[threadIdx.x] = 1; }'
const bad = 'extern "C" __global__ void k(float* p) { p[threadIdx.x] = q; }'
const elf = [0x7f, 0x45, 0x4c, 0x46]

describe.skipIf(!hip)('hipRTC', () => {
  test('compiles, names its targets and its release', () => {
    const result = compile('hiprtc', hip, ['--offload-arch=gfx1030'], good)
    expect(result).toMatchObject({ code: 0, codeName: 'HIPRTC_SUCCESS', log: '', kind: 'code-object', image: elf })
    expect(result.targets).toEqual(expect.arrayContaining(['gfx906', 'gfx90a', 'gfx1030']))
    expect(Math.trunc(result.version / 10_000_000)).toBe(hip?.runtime?.major)
  })

  test('gives the log of a source with an error', () => {
    const result = compile('hiprtc', hip, ['--offload-arch=gfx1030'], bad)
    expect(result).toMatchObject({ code: 6, codeName: 'HIPRTC_ERROR_COMPILATION' })
    expect(result.log).toContain("use of undeclared identifier 'q'")
    expect(result.image).toBeUndefined()
  })

  test('is identified by the files behind its names', () => {
    expect(hipCompilerIdentity(hip!)).toMatch(/^\S+\.so\.\d+\.\S+:\d+ libamd_comgr\S+:\d+/)
  })
})

describe.skipIf(!nvrtc)('NVRTC', () => {
  test('compiles to a cubin for a real target and to PTX for a virtual one', () => {
    const cubin = compile('nvrtc', nvrtc, ['--gpu-architecture=sm_90'], good)
    expect(cubin).toMatchObject({ code: 0, kind: 'cubin', image: elf })
    expect(cubin.targets).toContain(90)
    expect(compile('nvrtc', nvrtc, ['--gpu-architecture=compute_90'], good)).toMatchObject({ code: 0, kind: 'ptx' })
  })

  test('gives the log of a source with an error', () => {
    const result = compile('nvrtc', nvrtc, ['--gpu-architecture=sm_90'], bad)
    expect(result).toMatchObject({ code: 6, codeName: 'NVRTC_ERROR_COMPILATION' })
    expect(result.log).toContain('identifier "q" is undefined')
  })
})
