import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { findTarget, hostTarget } from '../../../codegen/targets.ts'
import { Diagnostic, fail } from '../../../ir/diagnostic.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { compilerEnvironment } from '../../../runtime/compile/pool.ts'
import { defineList, rtcOptions } from '../../../runtime/compile/rtc-options.ts'
import { type CompileJob, type CompileServiceOptions, createCompileService } from '../../../runtime/compile/service.ts'
import { findToolchains, type Toolchain } from '../../../runtime/compile/toolchains.ts'
import { ended } from '../../processes.ts'
import { type Release, toolchainFor } from '../../toolchain.ts'

let scratch: string
let root: string
let runs = 0
/** the real worker, bundled from the sources under test */
let workerEntry: string
beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'rocmforge-compile-'))
  workerEntry = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test', `compile-worker-${process.pid}.mjs`)
  await build({
    entryPoints: [join(packageRoot(), 'runtime/compile/worker.ts')],
    outfile: workerEntry,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    logLevel: 'silent',
  })
})
afterAll(() => {
  rmSync(scratch, { recursive: true, force: true })
  rmSync(workerEntry, { force: true })
})
beforeEach(() => {
  root = join(scratch, `run-${runs++}`)
})

const service = (options: Partial<CompileServiceOptions> = {}) =>
  createCompileService({
    cache: openKernelCache({ root, readOnly: [], onWarning: () => {} }),
    failedFolder: join(root, 'failed'),
    workerEntry,
    jobs: 2,
    ...options,
  })

async function errorOf(promise: Promise<unknown>): Promise<Diagnostic> {
  const error = await promise.then(
    () => expect.unreachable('it should fail'),
    (thrown) => thrown,
  )
  expect(error).toBeInstanceOf(Diagnostic)
  return error as Diagnostic
}

describe('with a scripted compiler', () => {
  /** A child that does what the source says. */
  const script = `
    import { appendFileSync } from 'node:fs'
    process.on('disconnect', () => process.exit())
    process.on('message', async ({ id, source, options }) => {
      const [word, argument] = source.split(' ')
      const reply = (more) => process.send({ id, kind: 'done', code: 0, codeName: 'SUCCESS', log: '', ...more })
      if (word === 'log') appendFileSync(argument, 'compiled\\n')
      if (word === 'abort') { process.stderr.write('free(): invalid pointer\\n'); setTimeout(() => process.abort(), 20); return }
      if (word === 'killed') { appendFileSync(argument, 'x'); process.kill(process.pid, 'SIGKILL'); return }
      if (word === 'hang') return
      if (word === 'unknown') return process.send({ id, kind: 'unknown-target', known: ['gfx900', 'gfx1100'] })
      if (word === 'refuse') return reply({ code: 6, codeName: 'HIPRTC_ERROR_COMPILATION',
        log: 'hip-templates/norm/rms_norm.hip:31:7: error: unknown type name "flot"\\n1 error generated' })
      reply({ image: new TextEncoder().encode(source + options.join(' ')) })
    })`
  let entry: string
  beforeAll(() => {
    entry = join(scratch, 'scripted.mjs')
    writeFileSync(entry, script)
  })
  const toolchain: Toolchain = {
    family: 'hiprtc',
    version: '6.4.1',
    origin: 'test',
    hip: { why: 'test' },
    launcher: [],
    identity: 'scripted',
  }
  const scripted = (options: Partial<CompileServiceOptions> = {}) =>
    service({ workerEntry: entry, toolchain: () => toolchain, ...options })
  const job = (source: string, more: Partial<CompileJob> = {}): CompileJob => ({
    source,
    kernels: [],
    target: findTarget('gfx1100'),
    label: 'norm/rms_norm.hip',
    defines: { P_BLOCK: 256, P_EPS: 1e-5 },
    ...more,
  })
  const count = (file: string) => (existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').length : 0)

  test('identical jobs compile once, and the next service finds them', async () => {
    const log = join(scratch, `log-${runs}`)
    const same = job(`log ${log}`)
    const seen: string[] = []
    using first = scripted({ onProgress: (p) => seen.push(`${p.done}/${p.total}, ${p.fromCache} from cache`) })
    const results = await first.compileAll([same, job('other'), { ...same }, same])
    expect(results.map((result) => result.fromCache)).toEqual([false, false, false, false])
    expect(results[0]!.image).toEqual(results[2]!.image)
    expect(count(log)).toBe(1)
    expect(seen).toEqual(['1/2, 0 from cache', '2/2, 0 from cache'])
    seen.length = 0
    using second = scripted({ onProgress: (p) => seen.push(`${p.done}/${p.total}, ${p.fromCache} from cache`) })
    const [warm] = await second.compileAll([same, job('third')])
    expect(warm).toMatchObject({ fromCache: true, key: results[0]!.key })
    expect(warm!.image).toEqual(results[0]!.image)
    expect(count(log)).toBe(1)
    expect(seen.at(-1)).toBe('2/2, 1 from cache')
  })

  test('without a compiler, code that another one made from the same text is taken, and nothing else', async () => {
    const same = job('elsewhere')
    using before = scripted()
    const [made] = await before.compileAll([same])
    using bare = scripted({ toolchain: () => fail({ code: 'no-compiler', message: 'no hipRTC here' }) })
    const [found] = await bare.compileAll([same])
    expect(found).toMatchObject({ fromCache: true, key: made!.key })
    expect(found!.image).toEqual(made!.image)
    expect((await errorOf(bare.compileAll([job('another text')]))).code).toBe('no-compiler')
    const other = job('elsewhere', { target: findTarget('gfx1101') })
    expect((await errorOf(bare.compileAll([other]))).code).toBe('no-compiler')
  })

  test('a refused source names line, defines and a command that repeats it', async () => {
    using compiler = scripted()
    const error = await errorOf(compiler.compileAll([job('fine'), job('refuse')]))
    const command = error.facts.find(([label]) => label === 'command')![1]
    const [node, worker, file] = command.split(' ')
    expect(node).toBe(process.execPath)
    expect(worker).toBe(entry)
    expect(readFileSync(file!.replace('job.json', 'kernel.hip'), 'utf8')).toBe('refuse')
    expect(error.message.replace(command, 'COMMAND')).toMatchInlineSnapshot(`
      "error[kernel-compile]: hipRTC 6.4.1 cannot compile norm/rms_norm.hip for gfx1100
        at      hip-templates/norm/rms_norm.hip:31:7 unknown type name "flot"
        with    -DROCMFORGE_NO_BUILTIN_HEADER=1 -DP_BLOCK=256 -DP_EPS=0.00001f
        command COMMAND
        help: mend the line named above"
    `)
  })

  test('an aborting compiler costs one error; the others are compiled', async () => {
    using compiler = scripted()
    const [bad, good] = await compiler.compileEach([job('abort'), job('fine')])
    expect(good).toMatchObject({ fromCache: false })
    expect(bad).toMatchObject({ code: 'compiler-crashed' })
    expect((bad as Diagnostic).facts.slice(0, 2)).toEqual([
      ['process', 'died of SIGABRT'],
      ['said', 'free(): invalid pointer'],
    ])
  })

  test('a child that vanishes without a word is tried once more, not twice', async () => {
    const log = join(scratch, `log-${runs}`)
    using compiler = scripted()
    expect((await errorOf(compiler.compileAll([job(`killed ${log}`)]))).message).toContain('died of SIGKILL')
    expect(readFileSync(log, 'utf8')).toBe('xx')
  })

  test('a hanging compiler is stopped in time', async () => {
    for (let seconds = 1; ; seconds *= 4) {
      using compiler = scripted({ timeoutMs: seconds * 1000 })
      const { message } = await errorOf(compiler.compileAll([job(`hang ${seconds}`)]))
      expect(message).toMatch(new RegExp(`did not finish.*\\n +after +${seconds} s`))
      const [next] = await compiler.compileEach([job(`fine ${seconds}`)])
      const inTime = !(next instanceof Diagnostic)
      if (inTime || seconds > 60) {
        expect(next).toHaveProperty('image')
        return
      } // a busy machine takes longer to start the next child
    }
  })

  test('the first failure stops the rest', async () => {
    using compiler = scripted()
    expect((await errorOf(compiler.compileAll([job('hang'), job('refuse'), job('hang too')]))).code).toBe(
      'kernel-compile',
    )
  })

  test('a target that the compiler’s list lacks is refused with the list', async () => {
    using compiler = scripted()
    const error = await errorOf(compiler.compileAll([job('unknown', { target: findTarget('gfx90a:xnack-') })]))
    expect(error.message).toMatchInlineSnapshot(`
      "error[unsupported-target]: hipRTC 6.4.1 has no target gfx90a:xnack-
        found  test
        knows  gfx900 gfx1100
        help: another release may know it: ROCMFORGE_HIPRTC chooses one, \`rocmforge toolchain\` brings them to Debian"
    `)
  })

  test('an abort stops the children and leaves the cache usable', async () => {
    using compiler = scripted()
    const stop = new AbortController()
    const onProgress = () => stop.abort() // when `fine` is done
    const running = compiler.compileAll([job('hang'), job('fine')], { signal: stop.signal, onProgress })
    await expect(running).rejects.toThrow(/abort/i)
    expect(readdirSync(join(root, 'gfx1100')).filter((name) => name.includes('.lock'))).toEqual([])
    expect((await compiler.compileAll([job('fine')]))[0]).toMatchObject({ fromCache: true })
  })

  test('saves sources, options, objects and logs, of cached kernels too', async () => {
    const temps = join(root, 'temps')
    for (let run = 0; run < 2; run++) {
      rmSync(temps, { recursive: true, force: true })
      using compiler = scripted({ saveTemps: temps })
      await compiler.compileAll([job('fine')])
      const [folder] = readdirSync(temps)
      expect(folder).toMatch(/^norm_rms_norm\.hip\.gfx1100\.[0-9a-f]{12}$/)
      expect(readdirSync(join(temps, folder!))).toEqual(
        expect.arrayContaining(['kernel.co', 'kernel.hip', 'log.txt', 'options.txt', 'resources.json']),
      )
    }
  })
})

test('options say all that shapes the code', () => {
  const job: CompileJob = {
    source: '',
    kernels: [],
    label: '',
    target: findTarget('gfx90a:xnack-:sramecc+'),
    defines: { P_B: 2, P_A: 'f16_t', P_EPS: 1e-7 },
    options: ['-mcumode'],
  }
  expect(rtcOptions(job, { family: 'hiprtc', version: '5.2.3' }, {})).toEqual([
    '--offload-arch=gfx90a:sramecc+:xnack-',
    '-std=c++17',
    '-mcode-object-version=5',
    '-mcumode',
    '-DP_A=f16_t',
    '-DP_B=2',
    '-DP_EPS=1e-7f',
  ])
  expect(rtcOptions(job, { family: 'hiprtc', version: '6.2.1' }, {})).toContain('--hiprtc-no-builtin-header')
  const bare = { ROCMFORGE_BUILTIN_HEADER: '1' }
  expect(rtcOptions(job, { family: 'hiprtc', version: '6.2.1' }, bare)).not.toContain('--hiprtc-no-builtin-header')
  expect(rtcOptions({ ...job, target: findTarget('sm_90') }, { family: 'nvrtc', version: '12.4' })[0]).toBe(
    '--gpu-architecture=sm_90',
  )
  expect(defineList({ B: 1, A: 2 })).toEqual(['A=2', 'B=1'])
})

test('variables that change the code in silence do not reach the compiler', () => {
  const env = compilerEnvironment({
    PATH: '/bin',
    HIPRTC_COMPILE_OPTIONS_APPEND: '-O0',
    GPU_ENABLE_WGP_MODE: '0',
    AMD_COMGR_SAVE_TEMPS: '1',
    NODE_OPTIONS: '--inspect',
  })
  expect(env).toEqual({ PATH: '/bin', AMD_COMGR_CACHE: '0' })
})

describe('on the host', () => {
  test('compiles with the C++ compiler, caches, and tells modes apart', async () => {
    const host: CompileJob = {
      source: `
        #define HIPHOST_ENTRY(name) extern "C" __attribute__((visibility("default"))) void entry_##name() { name(); }
        extern "C" void nothing() {}`,
      kernels: ['nothing'],
      target: hostTarget(),
      label: 'nothing.hip',
    }
    using compiler = service()
    const emulated = { ...host, target: hostTarget({ mode: 'emulate', wave: 64 }) }
    const results = await compiler.compileAll([host, emulated])
    expect(results[0]!.key).not.toBe(results[1]!.key)
    expect(Buffer.from(results[0]!.image.subarray(0, 7)).toString()).toBe('HIPHOST')
    const again = await compiler.compileAll([host, emulated])
    expect(again.map((kernel) => kernel.fromCache)).toEqual([true, true])
    expect(again[0]!.image).toEqual(results[0]!.image)
    expect(readdirSync(root).filter((name) => name.startsWith('host'))).toEqual(['host', 'host-wave64'])
    const broken = await errorOf(compiler.compileAll([{ ...host, source: 'flot x;' }]))
    expect(broken.code).toBe('kernel-compile')
  })
})

describe('with hipRTC', () => {
  const source = `
    #ifdef ROCMFORGE_NO_BUILTIN_HEADER
    #define __global__ __attribute__((global))
    #define __shared__ __attribute__((shared))
    #define __launch_bounds__(n) __attribute__((amdgpu_flat_work_group_size(1, n)))
    #endif
    #line 1 "hip-templates/axpy.hip"
    extern "C" __global__ __launch_bounds__(P_BLOCK) void axpy(float* y, const float* x, float a) {
      __shared__ float row[P_BLOCK];
      int i = __builtin_amdgcn_workitem_id_x();
      row[i] = x[i];
      __builtin_amdgcn_s_barrier();
      y[i] += a * row[P_BLOCK - 1 - i] P_BROKEN;
    }`
  const job = (target: string, block = 256, broken = ''): CompileJob => ({
    source,
    kernels: ['axpy'],
    target: findTarget(target),
    label: 'axpy.hip',
    defines: { P_BLOCK: block, P_BROKEN: broken },
  })
  const known = findToolchains().filter(({ family }) => family === 'hiprtc')
  const releases: [Release, string[]][] = [
    ['5.2', ['gfx906', 'gfx1030']],
    ['6.4', ['gfx942', 'gfx1100', 'gfx90a:sramecc+:xnack-']],
    ['7.2', ['gfx942', 'gfx1201']],
  ]

  test.each(releases)('%s compiles, repeatably, and tells resources', async (release, targets) => {
    const toolchain = toolchainFor(release, 'repeatable code')
    if (!toolchain) return
    const images: Uint8Array[][] = []
    for (const at of ['first', 'second']) {
      const cache = openKernelCache({ root: join(root, at), readOnly: [] })
      using compiler = service({ cache, toolchain: () => toolchain })
      const results = await compiler.compileAll(targets.map((target) => job(target)))
      images.push(results.map(({ image }) => image))
      for (const { resources, job: made } of results) {
        expect(resources).toHaveLength(1)
        expect(resources[0]).toMatchObject({
          name: 'axpy',
          ldsBytes: 1024,
          scratchBytes: 0,
          vgprSpills: 0,
          waveSize: made.target.wave,
          maxBlock: 256,
        })
      }
    }
    expect(images[0]).toEqual(images[1])
  })

  test('an error is at the template’s line; the command repeats it', async () => {
    if (known.length === 0) return console.log('skipped: no hipRTC here (rocmforge toolchain 6.4)')
    using compiler = service({ toolchain: () => known[0]! })
    const error = await errorOf(compiler.compileAll([job('gfx906', 64, '+ nonsense')]))
    expect(error.code).toBe('kernel-compile')
    expect(error.facts[0]).toEqual(['at', expect.stringMatching(/^hip-templates\/axpy\.hip:6:\d+ use of undeclared/)])
    expect(error.facts[1]![1]).toContain('-DP_BROKEN=+ nonsense')
  })

  test('a child that compiles for long ends with its parent', async () => {
    const toolchain = known[0]
    if (!toolchain) return console.log('skipped: no hipRTC here (rocmforge toolchain 6.4)')
    const endless = `
      template <int N, unsigned M> struct f { static const unsigned v = f<N - 1, M * 2>::v + f<N - 1, M * 2 + 1>::v; };
      template <unsigned M> struct f<0, M> { static const unsigned v = M; };
      unsigned x = f<22, 1>::v;`
    const { family, hip, launcher } = toolchain
    const job = { id: 1, toolchain: { family, hip }, target: 'gfx906', name: 'endless', source: endless, options: [] }
    const words = [...launcher, process.execPath, workerEntry]
    const script = `
      const [words, job] = JSON.parse(process.argv[1])
      const stdio = ['ignore', 'ignore', 'ignore', 'ipc']
      const child = require('child_process').spawn(words[0], words.slice(1), { stdio, serialization: 'advanced' })
      child.send({ ...job, options: ['--offload-arch=gfx906'] }, () => console.log(child.pid))`
    const parent = spawn(process.execPath, ['-e', script, JSON.stringify([words, job])])
    const pid = Number(await new Promise((done) => parent.stdout.once('data', (text) => done(String(text)))))
    await new Promise((done) => setTimeout(done, 1000)) // it is compiling by now
    process.kill(pid, 0)
    parent.kill('SIGKILL')
    await ended(pid) // the test's own limit stands behind
  })

  test('a target of the table that this release lacks is refused, not asked for', async () => {
    const old = toolchainFor('5.2', 'a target that it does not know')
    if (!old) return
    using compiler = service({ toolchain: () => old })
    expect((await errorOf(compiler.compileAll([job('gfx1201')]))).message).toMatch(/hipRTC 5.2.* has no target gfx1201/)
  })
})

test('NVRTC compiles for sm_90 and tells registers', async () => {
  const toolchain = toolchainFor('nvrtc', 'registers of sm_90')
  if (!toolchain) return
  using compiler = service({ toolchain: () => toolchain })
  const [kernel] = await compiler.compileAll([
    {
      source: `extern "C" __global__ void axpy(float* y, const float* x, float a) {
        __shared__ float row[256];
        row[threadIdx.x] = x[threadIdx.x];
        __syncthreads();
        y[threadIdx.x] += a * row[255 - threadIdx.x];
      }`,
      kernels: ['axpy'],
      target: findTarget('sm_90'),
      label: 'axpy.hip',
    },
  ])
  expect(kernel!.resources).toEqual([expect.objectContaining({ name: 'axpy', ldsBytes: 1024, scratchBytes: 0 })])
  expect(kernel!.resources[0]!.vgprs).toBeGreaterThan(4)
})
