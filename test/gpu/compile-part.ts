// Compiling: all kernels of an 8B-shaped Llama cold, then from the cache.
import { rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { ModelPlan } from '../../src/api/plan.ts'
import { openCheckpoint } from '../../src/loader/checkpoint.ts'
import { knownArchitectures } from '../../src/models/index.ts'
import { compileOptions, readOptions } from '../../src/options.ts'
import { randomModel, type ShapeName } from './random-model.ts'
import type { Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

export async function compilePart(suite: Suite, device: SuiteDevice, scratch: string, shape: ShapeName): Promise<void> {
  await using checkpoint = await openCheckpoint(randomModel(scratch, shape, { sparse: true }), {
    architectures: knownArchitectures,
  })
  const started = performance.now()
  const plan = new ModelPlan(checkpoint, readOptions(compileOptions, {}), device.target)
  const programs = [plan.program('sample'), plan.program('decode'), plan.program('prefill')]
  suite.figure({
    name: `graphs, passes and programs of three steps, ${shape} shape`,
    value: performance.now() - started,
    unit: 'ms',
    note: `${programs.map(({ name, calls }) => `${name} ${calls.length} launches`).join(', ')}`,
  })
  const sources = [...new Map(programs.flatMap(({ kernels }) => kernels).map((one) => [one.id, one])).values()]
  const jobs = sources.map((source) => compileJob(source, device.target))
  const cores = availableParallelism()
  const root = join(scratch, 'compile-cache')
  for (const atOnce of new Set([2, cores])) {
    rmSync(root, { recursive: true, force: true })
    using service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }), jobs: atOnce })
    const start = performance.now()
    const compiled = await service.compileAll(jobs)
    const seconds = (performance.now() - start) / 1e3
    const slowest = [...compiled].sort((a, b) => b.ms - a.ms)[0]!
    suite.figure({
      name: `cold compile of ${jobs.length} kernels, ${atOnce} at once`,
      value: seconds,
      unit: 's',
      ...(atOnce === 2 ? { target: { most: 10 } } : {}),
      note: `machine of ${cores} cores; the last to come was ${slowest.job.label}`,
    })
    const frames = compiled.flatMap(({ resources }) => resources.filter(({ scratchBytes = 0 }) => scratchBytes > 0))
    if (frames.length && atOnce === cores) {
      suite.note(
        `in scratch memory: ${frames.map(({ name, scratchBytes }) => `${name} ${scratchBytes} bytes`).join(', ')}`,
      )
    }
    await suite.check(`no kernel of ${jobs.length} keeps more than a call's frame in scratch memory`, () => {
      const large = frames.filter(({ scratchBytes = 0 }) => scratchBytes > 64)
      if (large.length)
        throw new Error(large.map(({ name, scratchBytes }) => `${name}: ${scratchBytes} bytes`).join('\n'))
    })
  }
  for (const round of [1, 2]) {
    using service = createCompileService({ cache: openKernelCache({ root, readOnly: [] }) })
    const start = performance.now()
    const found = await service.compileAll(jobs)
    const looked = performance.now()
    const modules = found.map(({ image }) => device.driver.loadModule(image))
    const loaded = performance.now()
    for (const module of modules) module[Symbol.dispose]()
    if (!found.every(({ fromCache }) => fromCache)) throw new Error('a kernel was compiled again')
    if (round === 1) continue // files in the page cache, compiled code
    suite.figure({
      name: 'warm load: all kernels from the cache into the device',
      value: loaded - start,
      unit: 'ms',
      target: { most: 150 },
    })
    suite.figure({
      name: 'cache lookup, a kernel',
      value: (looked - start) / jobs.length,
      unit: 'ms',
      target: { most: 1 },
    })
  }
}
