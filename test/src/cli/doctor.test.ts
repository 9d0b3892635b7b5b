// rocmforge doctor: each check has a status and, where something is wrong, a fix.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { compileProgram } from '../../../codegen/compile.ts'
import { catalogLimits, kernelCatalog, smallShape } from '../../../codegen/kernels/catalog.ts'
import { findTarget } from '../../../codegen/targets.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../../runtime/compile/kernel-compiler.ts'
import { createCompileService } from '../../../runtime/compile/service.ts'
import { findHostCompiler } from '../../../runtime/host/compiler.ts'
import type { Check } from '../../../src/api/doctor.ts'
import { rocmforge } from './spawn.ts'

const noGpu = { HIP_VISIBLE_DEVICES: '-1', ROCR_VISIBLE_DEVICES: '-1', CUDA_VISIBLE_DEVICES: '-1' }
const kept = { ...noGpu, ROCMFORGE_CACHE_DIR: join(packageRoot(), 'node_modules', '.cache', 'rocmforge-doctor') }
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'doctor-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const byId = (checks: readonly Check[]): Record<string, Check> =>
  Object.fromEntries(checks.map((check) => [check.id, check]))

test('on a machine without a GPU: the host runs, GPUs are skipped, not failed', async () => {
  const { code, stdout, stderr } = await rocmforge(['doctor', '--json'], { env: kept })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { healthy, defaultDevice, checks } = JSON.parse(stdout)
  expect({ healthy, defaultDevice }).toEqual({ healthy: true, defaultDevice: 'host' })
  const found = byId(checks)
  expect(found['launch-host']).toMatchObject({
    status: 'ok',
    detail: expect.stringContaining('agree with their references'),
  })
  expect(found['host-compiler']!.status).toBe('ok')
  expect(found['kernel-cache']!.status).toBe('ok')
  expect(found['default-device']!.status).toBe('ok')
  expect(['skip', 'warn']).toContain(found['amd-devices']!.status)
  for (const { status, fix, id } of checks as Check[])
    if (status === 'fail' || status === 'warn') expect(fix, id).toBeTruthy()
})

test('as text: a line a check, its fix below, and a verdict', async () => {
  const { code, stdout } = await rocmforge(['doctor', '--no-self-check'], { env: kept })
  expect(code).toBe(0)
  expect(stdout).toMatch(/^ok {4}launch-host /m)
  expect(stdout).toMatch(/\nready\n$/)
})

test('variables that hide devices or fake a target are named with their cure', async () => {
  const env = { ...kept, HSA_OVERRIDE_GFX_VERSION: '11.0.0' }
  const found = byId(JSON.parse((await rocmforge(['doctor', '--json', '--no-self-check'], { env })).stdout).checks)
  expect(found['gfx-override']).toMatchObject({ status: 'warn', fix: expect.stringContaining('unset') })
  expect(found['visible-devices']).toMatchObject({ status: 'warn', detail: expect.stringContaining('hides every GPU') })
})

test('without a C++ compiler the reference executor is the default, and the exit code stays 0', async () => {
  const env = { ...kept, ROCMFORGE_CXX: '/nonexistent/g++', CXX: '/nonexistent/g++', PATH: '/nonexistent' }
  const { code, stdout } = await rocmforge(['doctor', '--json', '--no-self-check'], { env })
  const { defaultDevice, checks } = JSON.parse(stdout)
  expect({ code, defaultDevice }).toEqual({ code: 0, defaultDevice: 'reference' })
  expect(byId(checks)['host-compiler']).toMatchObject({ status: 'warn', fix: expect.any(String) })
})

test('a compiler that fails makes the default device fail, with exit code 1', async () => {
  const { command } = await findHostCompiler()
  const broken = join(folder, 'g++')
  // answers what it is, and compiles nothing
  writeFileSync(
    broken,
    `#!/bin/sh\ncase "$*" in *-shared*) echo "kernel.hip:1:1: error: no" >&2; exit 1;; esac\nexec ${command.join(' ')} "$@"\n`,
  )
  chmodSync(broken, 0o755)
  const env = { ...noGpu, ROCMFORGE_CXX: broken, ROCMFORGE_CACHE_DIR: join(folder, 'cache') }
  const { code, stdout } = await rocmforge(['doctor', '--json'], { env })
  const { healthy, checks } = JSON.parse(stdout)
  expect({ code, healthy }).toEqual({ code: 1, healthy: false })
  expect(byId(checks)['launch-host']!.status).toBe('fail')
  expect(byId(checks)['default-device']).toMatchObject({ status: 'fail', fix: expect.any(String) })
})

test('an experiment in the cache that is wrong or crashes fails nothing: it is named, with what clears it', async () => {
  const root = join(folder, 'experiment')
  const cache = openKernelCache({ root, readOnly: [] })
  const target = findTarget('host')
  const { graph } = kernelCatalog(smallShape).find(({ name }) => name === 'add f32')!
  const job = compileJob(compileProgram(graph, { target, limits: catalogLimits }).kernels[0]!, target)
  const made = (statement: string) => job.source.replace(/(KERNEL void binary\([^)]*\) \{)/, `$1 ${statement}`)
  const sources = [made('*(volatile int*)8 = 1;'), made('if (cols > 0) return;')]
  using service = createCompileService({ cache })
  const bad = await service.compileAll(sources.map((source) => ({ ...job, source })))

  // probes come from the cache of the other tests, behind this one
  const env = { ...noGpu, ROCMFORGE_CACHE_DIR: root, ROCMFORGE_CACHE_DIRS: kept.ROCMFORGE_CACHE_DIR }
  for (const run of ['first', 'remembered']) {
    const { code, stdout } = await rocmforge(['doctor', '--json'], { env })
    const found = byId(JSON.parse(stdout).checks)
    expect([code, found['launch-host']!.status, found['cached-host']!.status], run).toEqual([0, 'ok', 'warn'])
    for (const { key } of bad)
      expect(found['cached-host']!.detail).toContain(`${key.slice(0, 12)} (elementwise/binary.hip, add): `)
    expect(found['cached-host']!.detail).toContain('it crashes: its process ended with SIGSEGV')
    expect(found['cached-host']!.fix).toBe('rocmforge cache clear --failed')
  }
  expect(JSON.parse((await rocmforge(['cache', 'clear', '--failed', '--json'], { env })).stdout).removed).toBe(2)
  expect(
    byId(JSON.parse((await rocmforge(['doctor', '--json'], { env })).stdout).checks)['cached-host']?.status,
  ).not.toBe('warn')
})

test('a cache folder that cannot be written is told with its cure', async () => {
  const file = join(folder, 'not-a-folder')
  writeFileSync(file, '')
  const noCompiler = { ROCMFORGE_CXX: '/nonexistent/g++', CXX: '/nonexistent/g++', PATH: '/nonexistent' } // nothing to wait for
  const env = { ...noGpu, ...noCompiler, ROCMFORGE_CACHE_DIR: join(file, 'cache') }
  const { stdout } = await rocmforge(['doctor', '--json', '--no-self-check'], { env })
  expect(byId(JSON.parse(stdout).checks)['kernel-cache']).toMatchObject({
    status: 'warn',
    detail: expect.stringContaining('cannot write'),
    fix: expect.stringContaining('ROCMFORGE_CACHE_DIR'),
  })
})
