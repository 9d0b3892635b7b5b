// The C++ compiler as a run-time compiler: finding one, its errors as Diagnostics, what the code may not change, and
// kernels under sanitizers.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { emitSource } from '../../../codegen/source.ts'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { compilerErrors } from '../../../runtime/host/compile-error.ts'
import {
  compileHostKernel,
  findHostCompiler,
  hostCompileCommand,
  sharedObjectIn,
} from '../../../runtime/host/compiler.ts'
import { runSanitized } from '../../../runtime/host/sanitizer.ts'
import { shippedCompiler } from '../../test-compiler.ts'
import { compileText, loadHost } from './host-harness.ts'

shippedCompiler()

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rocmforge-test-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** A program that answers as a compiler would. */
function fakeCompiler(name: string, script: string): string {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

const caught = async (promise: Promise<unknown>): Promise<Diagnostic> => {
  const error = await promise.then(
    () => undefined,
    (reason) => reason,
  )
  expect(error).toBeInstanceOf(Diagnostic)
  return error as Diagnostic
}

describe('finding a compiler', () => {
  test('it is new enough, and says what it is', async () => {
    const compiler = await findHostCompiler()
    expect(Number.parseInt(compiler.version, 10)).toBeGreaterThanOrEqual(compiler.kind === 'gcc' ? 12 : 14)
    expect(compiler.identity).toMatch(/^(gcc|clang) \d+\.\d+\.\d+ .*[0-9a-f]{16}$/)
    expect(await findHostCompiler()).toBe(compiler)
  })

  test('ROCMFORGE_CXX may carry arguments', async () => {
    const { command } = await findHostCompiler()
    expect((await findHostCompiler({ ROCMFORGE_CXX: `env LC_ALL=C ${command.join(' ')}` })).command).toEqual([
      'env',
      'LC_ALL=C',
      ...command,
    ])
  })

  test('an old or broken one is refused with advice', async () => {
    const old = fakeCompiler(
      'old',
      'printf "#define __GNUC__ 11\\n#define __GNUC_MINOR__ 4\\n#define __GNUC_PATCHLEVEL__ 0\\n"',
    )
    const broken = fakeCompiler('broken', 'exit 1')
    const message = (await caught(findHostCompiler({ ROCMFORGE_CXX: old }))).toString().replaceAll(folder, '')
    expect(message).toMatchInlineSnapshot(`
      "Diagnostic: error[no-host-compiler]: no usable C++ compiler on this machine (g++ 12 or clang 14, or newer)
        tried  /old: gcc 11.4.0, needs 12 or newer
        help: install a C++ compiler: \`apt install g++\` (Debian, Ubuntu), \`dnf install gcc-c++\` (Fedora), \`xcode-select --install\` (macOS); or name one in ROCMFORGE_CXX"
    `)
    expect((await caught(findHostCompiler({ ROCMFORGE_CXX: broken }))).facts[0]![1]).toContain('cannot compile')
    const absent = await caught(findHostCompiler({ ROCMFORGE_CXX: join(folder, 'absent') }))
    expect(absent.code).toBe('no-host-compiler')
  })
})

describe('compile errors', () => {
  const broken = { template: 'norm/broken.hip', kernels: ['k'], mode: 'fast' as const, defines: ['P_EPS=1e-5f'] }

  test('name the line of the template, the defines and the command', async () => {
    const source = [
      '#define P_BLOCK 1',
      '#line 1 "hip-templates/prelude/host.h"',
      'int fine;',
      '#line 7 "hip-templates/norm/broken.hip"',
      'float half() { return 0.5f * undefined_name; }',
      'int other = "text";',
    ].join('\n')
    const error = await caught(compileHostKernel({ ...broken, source }))
    expect(error.code).toBe('kernel-compile')
    expect(error.summary).toMatch(/^(gcc|clang) [\d.]+ cannot compile norm\/broken.hip$/)
    const at = error.facts.filter(([label]) => label === 'at').map(([, text]) => text)
    expect(at[0]).toMatch(/^hip-templates\/norm\/broken.hip:7:\d+ .*undefined_name/)
    expect(at[1]).toMatch(/^hip-templates\/norm\/broken.hip:8:\d+ /)
    expect(error.facts.find(([label]) => label === 'with')![1]).toBe('-DP_BLOCK=1 -DP_EPS=1e-5f')
    const command = error.facts.find(([label]) => label === 'command')![1]
    expect(command).toContain('-DP_BLOCK=1 -DP_EPS=1e-5f -I')
    expect(command).toContain('hip-templates/norm/broken.hip -o kernel.so')
  })

  test('a function that nothing defines is found when linking, not when loading', async () => {
    const error = await caught(
      compileText('extern "C" float missing(float); extern "C" __global__ void k(float* y) { *y = missing(1); }', [
        'k',
      ]),
    )
    expect(error.facts[0]![1]).toBe('nothing defines missing')
  })

  test('a compiler that hangs is stopped', async () => {
    const compiler = { ...(await findHostCompiler()), command: [fakeCompiler('hangs', 'sleep 100')] }
    const error = await caught(compileHostKernel({ ...broken, source: '' }, { compiler, timeoutMs: 200 }))
    expect(error.summary).toMatch(/was stopped after 0.2 s on norm\/broken.hip$/)
  })

  test('an aborted compile rejects with the reason', async () => {
    const compiler = { ...(await findHostCompiler()), command: [fakeCompiler('hangs2', 'sleep 100')] }
    const signal = AbortSignal.timeout(100)
    await expect(compileHostKernel({ ...broken, source: '' }, { compiler, signal })).rejects.toThrow(/timeout/)
  })

  test('logs of gcc and clang are both understood', () => {
    expect(compilerErrors('a.hip:3:9: error: no x\na.hip:3:9: note: here\nb.h:1: fatal error: gone\n')).toEqual([
      'a.hip:3:9 no x',
      'b.h:1 gone',
    ])
    expect(compilerErrors('cc1plus: out of memory allocating 65536 bytes\n')).toHaveLength(1)
    expect(compilerErrors('')).toEqual([])
  })
})

describe('code', () => {
  test('keeps NaN, infinity, subnormals and the process as they are', async () => {
    const host = await loadHost()
    const image = await compileText(
      `extern "C" __global__ void k(float* v) {
         v[0] = v[0] != v[0] ? 1.f : 0.f;
         v[1] = v[1] * 0.f;
         v[2] = v[2] * 0.5f;
         v[3] = 1.f / v[3];
       }`,
      ['k'],
    )
    expect(sharedObjectIn(image)!.subarray(1, 4)).toEqual(new Uint8Array(Buffer.from('ELF')))
    expect(sharedObjectIn(Uint8Array.of(1, 2, 3))).toBeUndefined()
    const address = host.upload(Float32Array.of(NaN, Infinity, 2 ** -140, 0))
    host.ok(host.launch(host.kernel(host.load(image), 'k'), 1, 1, [address]))
    expect([...host.download(new Float32Array(4), address)]).toEqual([1, NaN, 2 ** -141, Infinity])
    expect(Math.fround(1e-40) * 1).toBeGreaterThan(0)
  })

  test('is made without -ffast-math and without debug information', async () => {
    const request = { template: 't', source: '', kernels: [], defines: ['P_X=1'], mode: 'fast' as const }
    const command = hostCompileCommand(await findHostCompiler(), request, 'out.so')
    expect(command).toContain('-O3')
    expect(command).toContain('-DP_X=1')
    expect(command.filter((flag) => /fast-math|^-g$/.test(flag))).toEqual([])
  })
})

describe('under sanitizers', () => {
  const source = `
    extern "C" __global__ void shift(float* y, const float* x, int n, int by) {
      LDS(float, lds, BLOCK);
      const int i = block_id() * BLOCK + thread_id();
      lds[thread_id()] = i < n ? x[i + by] : 0.f;
      block_sync();
      if (i < n) y[i] = lds[thread_id()];
    }
    extern "C" __global__ void lds_overrun(float* y, int at) {
      LDS(float, lds, BLOCK);
      lds[thread_id()] = 1.f;
      block_sync();
      y[thread_id()] = (&lds[0])[at];
    }
    extern "C" __global__ void overflow(int* v) { v[thread_id()] += 0x7fffffff; }
    extern "C" __global__ void stuck(int* v) {
      if (thread_id() % 2) block_sync();
      else v[0] = int(wave_ballot(true));
    }
    extern "C" __global__ void sum(float* y, const float* x) {
      const float total = block_reduce(x[block_id() * BLOCK + thread_id()], Add{});
      if (thread_id() == 0) y[block_id()] = total;
    }`
  let image: Uint8Array
  beforeAll(async () => {
    const defines = { P_WAVE: 32, P_BLOCK: 64 }
    const headers = { 'test.hip': `#include "prelude/block.h"\n${source}` }
    const kernels = [...source.matchAll(/__global__ void (\w+)/g)].map((match) => match[1]!)
    const text = emitSource({ template: 'test.hip', defines, headers })
    const request = { template: 'test.hip', source: text, kernels, defines: [], mode: 'emulate' as const }
    image = await compileHostKernel({ ...request, sanitize: true })
  })

  const x = Float32Array.from({ length: 100 }, (_, i) => i)
  const run = (kernel: string, args: Parameters<typeof runSanitized>[0]['launches'][0]['args']) =>
    runSanitized({
      modules: [image],
      buffers: [400, new Uint8Array(x.buffer)],
      launches: [{ module: 0, kernel, grid: [2], block: [64], args }],
      seed: 3,
    })

  test('a good kernel is clean and gives its result', async () => {
    const result = await run('shift', [{ buffer: 0 }, { buffer: 1, offset: 40 }, { i32: 90 }, { i32: 0 }])
    if (!result.clean) throw new Error(result.report)
    const y = new Float32Array(result.buffers[0]!.buffer)
    expect([...y.subarray(0, 90)]).toEqual([...x.subarray(10)])
    expect(y.subarray(90).every(Number.isNaN)).toBe(true) // untouched
  })

  test('a reduction over waves is clean', async () => {
    const result = await runSanitized({
      modules: [image],
      buffers: [8, new Uint8Array(Float32Array.from({ length: 128 }, (_, i) => i).buffer)],
      launches: [{ module: 0, kernel: 'sum', grid: [2], block: [64], args: [{ buffer: 0 }, { buffer: 1 }] }],
    })
    if (!result.clean) throw new Error(result.report)
    expect([...new Float32Array(result.buffers[0]!.buffer)]).toEqual([2016, 6112])
  })

  test.each([
    [
      'a read beyond a buffer',
      'shift',
      [{ buffer: 0 }, { buffer: 1 }, { i32: 100 }, { i32: 1 }],
      /heap-buffer-overflow/,
    ],
    [
      'a read before a buffer',
      'shift',
      [{ buffer: 0 }, { buffer: 1 }, { i32: 100 }, { i32: -1 }],
      /heap-buffer-overflow/,
    ],
    ['a read beyond LDS', 'lds_overrun', [{ buffer: 0 }, { i32: 64 }], /heap-buffer-overflow|out of bounds/],
    ['signed overflow', 'overflow', [{ buffer: 1 }], /signed integer overflow.* at hip-templates\/test.hip:\d+/],
    [
      'threads that wait for each other',
      'stuck',
      [{ buffer: 0 }],
      /stuck: hipErrorLaunchFailure: .*wait for each other/,
    ],
  ])('%s is found', async (_, kernel, args, finding) => {
    const result = await run(kernel, args)
    expect(result.clean).toBe(false)
    expect(result.clean ? '' : result.finding).toMatch(finding)
  })
})
