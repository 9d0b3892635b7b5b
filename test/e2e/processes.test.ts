// Whole processes under bad luck: two at once on an empty cache, interrupts at any moment, caches that cannot be written,
// compilers that are missing, crash or hang, files that end too early. A run is right or ends with a clear error, and never
// spoils the next one.
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { findHostCompiler } from '../../runtime/host/compiler.ts'
import { storyFolder, storyGguf, storyRuns } from '../models.ts'
import { ended as compilerEnded } from '../processes.ts'
import { cli, errorCodeOf, reportOf, startCli } from './command-line.ts'

const run = storyRuns['story-3m'][0]!
const folder = storyFolder('story-3m')
const args = ['run', folder, '-p', run.prompt, '-n', '8', '--device', 'host', '--json']
const expected = run.token_ids.slice(0, 8)

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rocmforge-processes-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** An environment whose cache is `name` under the scratch folder, which need not exist. */
const cacheAt = (name: string) => ({ ROCMFORGE_CACHE_DIR: join(scratch, name) })

function expectSoundCache(env: { readonly ROCMFORGE_CACHE_DIR: string }): void {
  const rows = openKernelCache({ root: env.ROCMFORGE_CACHE_DIR, readOnly: [] }).verify()
  expect(rows.filter((row) => 'damage' in row)).toEqual([])
}

describe('the cache', () => {
  test('two runs at once on none share the work', async () => {
    const env = cacheAt('deep/below/what/is/not/there')
    const reports = (await Promise.all([cli(args, env), cli(args, env)])).map(reportOf)
    for (const report of reports) expect(report.tokenIds).toEqual(expected)
    const compiled = reports.reduce((sum, { timings }) => sum + timings.kernels - timings.kernelsFromCache, 0)
    expect(compiled).toBe(reports[0]!.timings.kernels)
    expectSoundCache(env)
    const warm = reportOf(await cli(args, env))
    expect(warm.timings.kernelsFromCache).toBe(warm.timings.kernels)
    expect(warm.tokenIds).toEqual(expected)
  })

  test('interrupts and kills at any moment leave one that works', async () => {
    const env = cacheAt('interrupted')
    for (const [ms, signal] of [
      [60, 'SIGINT'],
      [400, 'SIGKILL'],
      [900, 'SIGINT'],
      [1700, 'SIGTERM'],
      [2600, 'SIGKILL'],
      [3500, 'SIGINT'],
    ] as const) {
      const { child, ended } = startCli(args, env)
      await sleep(ms)
      child.kill(signal)
      const result = await ended
      // ended by the signal, by us because of it, or done before it came
      if (signal !== 'SIGKILL' && result.signal === null)
        expect([0, signal === 'SIGINT' ? 130 : 143]).toContain(result.status) // 128 + the signal
      expect(result.stderr).not.toMatch(/internal:|\n {4}at /)
    }
    expect(reportOf(await cli(args, env)).tokenIds).toEqual(expected)
    expectSoundCache(env)
  })

  test('one that cannot be written costs a warning', async () => {
    writeFileSync(join(scratch, 'file'), '')
    const result = await cli(args, cacheAt('file/below'))
    expect(reportOf(result).tokenIds).toEqual(expected)
    expect(result.stderr).toMatch(/warning: /)
  })
})

const compiler = await findHostCompiler().catch(() => undefined)

describe('the compiler', () => {
  /** A compiler that does as the machine's until it is asked for a kernel. */
  function faultyCompiler(name: string, fault: string): string {
    const path = join(scratch, name)
    writeFileSync(
      path,
      `#!/bin/sh\ncase "$*" in *kernel.so*) ${fault};; esac\nexec ${compiler?.command.join(' ')} "$@"\n`,
    )
    chmodSync(path, 0o755)
    return path
  }

  test('missing: an error for host, the reference executor for auto', async () => {
    const env = { ...cacheAt('no-compiler'), ROCMFORGE_CXX: '/nowhere/c++' }
    const result = await cli(args, env)
    expect([result.status, result.stdout, errorCodeOf(result)]).toEqual([1, '', 'no-host-compiler'])
    expect(result.stderr).toContain('/nowhere/c++')
    const auto = ['run', folder, '-p', run.prompt, '-n', '4', '--device', 'auto']
    const slow = await cli(auto, { ...env, HIP_VISIBLE_DEVICES: '', CUDA_VISIBLE_DEVICES: '' })
    expect(slow.status).toBe(0)
    if (/device +reference/.test(slow.stderr)) expect(slow.stderr).toContain('no usable C++ compiler')
    expect(slow.stdout.trim()).toBe(`${run.prompt}${run.text}`.slice(0, slow.stdout.trim().length))
  })

  test.runIf(compiler !== undefined)('crashing: an error that names template and command', async () => {
    const env = { ...cacheAt('crashing'), ROCMFORGE_CXX: faultyCompiler('crashing-c++', 'kill -SEGV $$') }
    const result = await cli(args, env)
    expect([result.status, result.stdout, errorCodeOf(result)]).toEqual([1, '', 'kernel-compile'])
    expect(result.stderr).toMatch(/\.hip/)
    expect(result.stderr).toContain('SIGSEGV')
    expectSoundCache(env)
    expect(reportOf(await cli(args, { ...env, ROCMFORGE_CXX: process.env['ROCMFORGE_CXX'] ?? '' })).tokenIds).toEqual(
      expected,
    )
  })

  test.runIf(compiler !== undefined)('hanging: an interrupt ends the run and the compiler', async () => {
    const pids = join(scratch, 'pids')
    const env = {
      ...cacheAt('crashing'),
      ROCMFORGE_CXX: faultyCompiler('hanging-c++', `echo $$ >> ${pids}; exec sleep 300`),
    }
    const { child, ended } = startCli([...args.slice(0, 1), storyGguf('story-3m', 'Q8_0'), ...args.slice(2)], env)
    while (!existsSync(pids) && child.exitCode === null) await sleep(50)
    child.kill('SIGINT')
    expect((await ended).status).toBe(130)
    for (const pid of readFileSync(pids, 'utf8').trim().split('\n')) await compilerEnded(Number(pid))
  })
})

describe('files that end too early', () => {
  const truncated = async (path: string) =>
    errorCodeOf(await cli(['run', path, '-p', 'x', '--json', '--device', 'host']))

  test('safetensors', async () => {
    const copy = join(scratch, 'short')
    cpSync(folder, copy, { recursive: true })
    const weights = join(copy, 'model.safetensors')
    chmodSync(weights, 0o644)
    for (const bytes of [statSync(weights).size - 1, 10_000, 100, 4, 0]) {
      truncateSync(weights, bytes)
      expect(await truncated(copy), `${bytes} bytes`).toMatch(/^(bad|truncated|not)-/)
    }
  })

  test('GGUF', async () => {
    const copy = join(scratch, 'short.gguf')
    copyFileSync(storyGguf('story-3m', 'F16'), copy)
    for (const bytes of [statSync(copy).size - 1000, 200_000, 100, 4, 0]) {
      truncateSync(copy, bytes)
      expect(await truncated(copy), `${bytes} bytes`).toMatch(/^(bad|truncated|not)-/)
    }
  })
})
