// The self-check: right kernels pass, a wrong one is found, and what was found is remembered.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compileProgram } from '../../../codegen/compile.ts'
import { catalogLimits, kernelCatalog, smallShape } from '../../../codegen/kernels/catalog.ts'
import { sourcesOf } from '../../../codegen/program.ts'
import { findTarget } from '../../../codegen/targets.ts'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import type { Target } from '../../../ir/target.ts'
import { type KernelCache, openKernelCache } from '../../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../../runtime/compile/kernel-compiler.ts'
import { type CompiledKernel, createCompileService } from '../../../runtime/compile/service.ts'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { CheckProcess } from '../../../runtime/inspect/check-process.ts'
import { checkedOn, checkKernel, checkKernels, requirePassed } from '../../../runtime/inspect/self-check.ts'
import { Driver } from '../../../runtime/platform/driver.ts'
import { compile } from '../../../src/api/compile.ts'
import { ModelPlan } from '../../../src/api/plan.ts'
import { checkable, checkBeforeLoad } from '../../../src/api/self-check.ts'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { compileOptions, readOptions } from '../../../src/options.ts'
import { storyFolder } from '../../models.ts'

/** Every kind of operand: quantised weights, shared heads, pages, indices, several stages, counters. */
const names = [
  'gemv q4_k',
  'gemm q6_k',
  'gemv f16, 3 tokens',
  'gemv_add q8_0',
  'gemm_swiglu f16',
  'rms_norm bf16',
  'add_rms_norm f32',
  'scale_mask_softmax f32',
  'causal_mask f32',
  'add f32, bias',
  'attention, one token, f16 cache',
  'attention, eight tokens, f16 cache',
  'attention, many tokens, 64 channels',
  'rope_kv_append, bf16 cache, interleaved',
  'kv_append, f16 cache',
  'kv_read, f16 cache',
  'qk_matmul f32',
  'pv_matmul f32',
  'embed q5_k',
  'embed_append q4_k',
  'gather_rows f32',
  'contiguous f32, transposed',
  'increment',
  'publish',
  'argmax f32',
  'topk f32',
  'sample',
  'repeat_penalty',
  'frequency_penalty',
  'logit_bias',
  'penalised_sample',
  'penalised_publish',
]

let driver: Driver
let runner: CheckProcess
let folder: string
beforeAll(async () => {
  driver = new Driver('host', await hostLibraryPath(), 0)
  runner = new CheckProcess(driver)
  folder = mkdtempSync(join(tmpdir(), 'self-check-'))
})
afterAll(() => {
  runner[Symbol.dispose]()
  driver[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** kept between runs of the tests, apart from the user's */
const testCache = () =>
  openKernelCache({ root: join(packageRoot(), 'node_modules/.cache/rocmforge-test'), readOnly: [] })

async function compiled(target: Target, wanted: readonly string[], cache: KernelCache = testCache()) {
  const entries = kernelCatalog(smallShape).filter(({ name }) => wanted.includes(name))
  expect(entries).toHaveLength(wanted.length)
  const service = createCompileService({ cache })
  try {
    const sources = entries.flatMap(({ graph }) => compileProgram(graph, { target, limits: catalogLimits }).kernels)
    return await service.compileAll(sources.map((source) => compileJob(source, target)))
  } finally {
    service[Symbol.dispose]()
  }
}

const on = (target: Target) => ({ id: checkedOn(driver, target), target })

test.each(['host', 'host-wave32'])('kernels of every kind agree with their references on %s', async (id) => {
  const target = findTarget(id)
  const wanted = id === 'host' ? names : names.filter((_, i) => i % 4 === 0)
  const kernels = (await compiled(target, wanted)).map(checkable)
  const checked = await checkKernels(runner, on(target), kernels, { cache: testCache(), again: true })
  expect(checked.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
  expect(checked.length).toBeGreaterThanOrEqual(wanted.length)
})

describe('a wrong kernel', () => {
  const target = findTarget('host')

  test('is found: element, value and the reference’s', async () => {
    const [add, mul] = (await compiled(target, ['add f32', 'mul f32'])) as [CompiledKernel, CompiledKernel]
    const { outcome, detail } = await checkKernel(runner, target, mul.image, add.site!)
    expect(outcome).toBe('failed')
    expect(detail).toMatch(/^y\[0\] is -?[\d.e-]+, the reference has -?[\d.e-]+$/)
  })

  test('a kernel that this release does not have is skipped', async () => {
    const [add] = (await compiled(target, ['add f32'])) as [CompiledKernel]
    expect(await checkKernel(runner, target, add.image, { ...add.site!, kernel: 'gone' })).toEqual({
      outcome: 'skipped',
      detail: 'this release has no kernel gone',
    })
  })

  test('is refused whenever it is to be loaded on the device that it failed on', async () => {
    const cache = openKernelCache({ root: join(folder, 'failed'), readOnly: [] })
    const [add] = (await compiled(target, ['add f32'], cache)) as [CompiledKernel]
    cache.setSelfCheck(add.keyInput, { outcome: 'failed', device: checkedOn(driver, target), detail: 'y[3] is 4' })
    const [again] = (await compiled(target, ['add f32'], cache)) as [CompiledKernel]
    const load = checkBeforeLoad(driver, target, cache, { selfCheck: false })
    await expect(load([again])).rejects.toThrowError(/error\[self-check-failed\].*\n +add +y\[3\] is 4\n/)
    cache.setSelfCheck(add.keyInput, { outcome: 'failed', device: 'another' })
    const [elsewhere] = (await compiled(target, ['add f32'], cache)) as [CompiledKernel]
    await load([elsewhere])
  })
})

describe('a kernel that takes its process down', () => {
  const target = findTarget('host')
  /** `add f32` with a statement at its beginning */
  async function experiment(statement: string, cache: KernelCache): Promise<CompiledKernel> {
    const [add] = (await compiled(target, ['add f32'])) as [CompiledKernel]
    const { source } = add.job
    const changed = source.replace(/(KERNEL void binary\([^)]*\) \{)/, `$1 ${statement}`)
    expect(changed).not.toBe(source)
    using service = createCompileService({ cache })
    return (await service.compileAll([{ ...add.job, source: changed }]))[0]!
  }

  test.each([
    ['writes where it may not', '*(volatile int*)8 = 1;', /^it crashes: its process ended with SIGSEGV$/],
    ['ends its process', '__builtin_trap();', /^it crashes: its process ended with SIGILL$/],
    ['never ends', 'for (volatile int spin = 0;;) spin = 1 - spin;', /^it crashes: it did not end within \d+ s$/],
  ])('%s: it failed, and the next is checked', async (name, statement, detail) => {
    const cache = openKernelCache({ root: join(folder, name), readOnly: [] })
    const bad = await experiment(statement, cache)
    const [good] = (await compiled(target, ['add f32'], cache)) as [CompiledKernel]
    let checked = await checkWithin(name === 'never ends' ? 1 : 60)
    // a busy machine takes longer to start the process for the next kernel
    for (let seconds = 4; checked[1]?.outcome !== 'passed' && seconds < 100; seconds *= 4) {
      cache.clear({ failed: true })
      await compiled(target, ['add f32'], cache)
      await experiment(statement, cache)
      checked = await checkWithin(seconds)
    }
    async function checkWithin(seconds: number) {
      using short = new CheckProcess(driver, { timeoutMs: seconds * 1000 })
      return await checkKernels(short, on(target), [bad, good].map(checkable), { cache })
    }
    expect(checked).toMatchObject([
      { key: bad.key, kernel: 'add', outcome: 'failed', detail: expect.stringMatching(detail) },
      { key: good.key, outcome: 'passed' },
    ])
    expect(cache.clear({ failed: true })).toMatchObject({ removed: 1 })
    expect(cache.list().map(({ key }) => key)).toEqual([good.key])
  })

  test('what an entry says of itself need not make sense', async () => {
    const cache = openKernelCache({ root: join(folder, 'nonsense'), readOnly: [] })
    const [good] = (await compiled(target, ['add f32'], cache)) as [CompiledKernel]
    const site = { ...good.site!, site: { ...good.site!.site, types: {} } }
    const [checked] = await checkKernels(runner, on(target), [{ ...checkable(good), site }], { cache })
    expect(checked).toMatchObject({ outcome: 'skipped', detail: expect.stringContaining('it cannot be checked: ') })
  })
})

test('kernels of steps for several sequences agree with their references', async () => {
  await using checkpoint = await openCheckpoint(storyFolder('story-3m'))
  const settings = readOptions(compileOptions, { context: 64, maxBatch: 8 })
  const target = findTarget('host')
  const program = new ModelPlan(checkpoint, settings, target).program('decode', 8)
  const cache = testCache()
  using service = createCompileService({ cache })
  const kernels = await service.compileAll(sourcesOf(program).map((source) => compileJob(source, target)))
  const checked = await checkKernels(runner, on(target), kernels.map(checkable), { cache, again: true })
  expect(checked.filter(({ outcome }) => outcome !== 'passed')).toEqual([])
  expect(kernels.filter(({ site }) => site?.site.types.page_table?.shape[0] === 8).length).toBeGreaterThan(0)
})

test('an outcome is remembered for its device and not computed again', async () => {
  const target = findTarget('host')
  const cache = openKernelCache({ root: join(folder, 'remembered'), readOnly: [] })
  const check = async () =>
    checkKernels(runner, on(target), (await compiled(target, ['silu f32'], cache)).map(checkable), { cache })
  expect(await check()).toMatchObject([{ outcome: 'passed', remembered: false }])
  expect(await check()).toMatchObject([{ outcome: 'passed', remembered: true }])
})

test('the error names kernels, values and what to do', () => {
  const failed = { label: 'norm/rms_norm.hip', kernel: 'rms_norm', outcome: 'failed', remembered: false } as const
  let error: Diagnostic | undefined
  try {
    requirePassed(
      [
        { ...failed, detail: 'y[0] is 1, the reference has 2' },
        { ...failed, outcome: 'passed' },
      ],
      'some GPU',
    )
  } catch (thrown) {
    error = thrown as Diagnostic
  }
  expect(error?.message).toMatchInlineSnapshot(`
    "error[self-check-failed]: 1 of 2 kernels compute something else than their references on some GPU
      rms_norm y[0] is 1, the reference has 2
      help: the driver or the compiler may be at fault: try another release of either, or --device host meanwhile; \`rocmforge cache clear --failed\` forgets what failed; please report it"
  `)
})

test('every kernel of a model is checked before it is loaded', async () => {
  const before = process.env['ROCMFORGE_CACHE_DIR']
  process.env['ROCMFORGE_CACHE_DIR'] = join(packageRoot(), 'node_modules/.cache/rocmforge-test')
  try {
    const kernels: CompiledKernel[] = []
    const path = join(packageRoot(), 'models/story-3m')
    await using model = await compile(path, {
      device: 'host',
      selfCheck: true,
      onCompiled: (all) => kernels.push(...all),
    })
    expect(model.device.id).toBe('host')
    const keys = new Set(kernels.map(({ key }) => key))
    const outcomes = testCache()
      .verify()
      .flatMap((row) => ('entry' in row && keys.has(row.key) ? [row.entry.selfCheck?.outcome] : []))
    expect(outcomes).toHaveLength(keys.size)
    expect(new Set(outcomes)).toEqual(new Set(['passed']))
  } finally {
    if (before === undefined) delete process.env['ROCMFORGE_CACHE_DIR']
    else process.env['ROCMFORGE_CACHE_DIR'] = before
  }
})
