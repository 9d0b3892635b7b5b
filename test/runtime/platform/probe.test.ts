// The probe as a real child process: against a HIP runtime without a GPU, and against programs that crash and hang.
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../../ir/package-root.ts'
import { findHip } from '../../../runtime/platform/discovery.ts'
import { Driver } from '../../../runtime/platform/driver.ts'
import { runProbe } from '../../../runtime/platform/run-probe.ts'

// inside the package, so that the bundle finds its dependencies
const folder = join(packageRoot(), 'node_modules', `.probe-test-${process.pid}`)
const program = join(folder, 'device-probe.js')
const script = (text: string): string => {
  const path = join(folder, 'script.mjs')
  writeFileSync(path, text)
  return path
}

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  await build({
    entryPoints: [join(packageRoot(), 'runtime/platform/device-probe.ts')],
    outfile: program,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
  })
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const runtime = findHip().found?.runtime
const reason = !runtime ? 'no HIP runtime is installed' : existsSync('/dev/kfd') ? 'this machine has an AMD driver' : ''

if (reason) console.log(`skipped: a HIP runtime without a GPU (${reason})`)
describe.skipIf(reason !== '')(`a HIP runtime without a GPU${reason ? ` (skipped: ${reason})` : ''}`, () => {
  test('says that there is no device, without a crash', async () => {
    const answer = await runProbe({ platform: 'amd', library: runtime!.path, askMemory: true, program })
    expect(answer.status).toBe('no-device')
    expect(answer).toMatchObject({ detail: expect.stringContaining('hipInit says hipError') })
  })

  test('gives a driver one clear error', () => {
    expect(() => new Driver('amd', runtime!.path, 0)).toThrow(/error\[no-device\]: no AMD GPU is visible/)
  })
})

describe('a probe that goes wrong', () => {
  test('a library that cannot be loaded', async () => {
    const answer = await runProbe({ platform: 'nvidia', library: '/nowhere/libcuda.so.1', program })
    expect(answer).toMatchObject({ status: 'failed', detail: expect.stringContaining('libcuda.so.1') })
  })

  test('a crash', async () => {
    const crash = script(`process.stderr.write('free(): invalid pointer\\n'); process.kill(process.pid, 'SIGABRT')`)
    const answer = await runProbe({ platform: 'amd', library: 'x', program: crash })
    expect(answer).toEqual({ status: 'failed', detail: 'the runtime crashed (SIGABRT): free(): invalid pointer' })
  })

  test('an error of its own', async () => {
    const broken = script(`import 'a-package-that-is-not-there'`)
    const answer = await runProbe({ platform: 'amd', library: 'x', program: broken })
    expect(answer).toMatchObject({ detail: expect.stringMatching(/exit code 1\): Error.*a-package-that-is-not-there/) })
  })

  test('a hang', async () => {
    const hang = script('setInterval(() => {}, 1000)')
    const answer = await runProbe({ platform: 'amd', library: 'x', program: hang, timeoutMs: 300 })
    expect(answer).toEqual({ status: 'failed', detail: 'the runtime did not answer within 0.3 s' })
  })

  test('noise around the answer, and a crash after it', async () => {
    const noisy = script(
      `console.log('rocm: warning'); console.log('rocmforge-device-probe:{"status":"no-device","detail":"d"}'); process.abort()`,
    )
    const answer = await runProbe({ platform: 'amd', library: 'x', program: noisy })
    expect(answer).toEqual({ status: 'no-device', detail: 'd' })
  })

  test('an answer that is none', async () => {
    const liar = script(`console.log('rocmforge-device-probe:{"status":"ok","devices":[{"properties":{}}]}')`)
    expect((await runProbe({ platform: 'amd', library: 'x', program: liar })).status).toBe('failed')
  })
})
