// Every setting of the matmuls of a decode step, timed alone on cold weights: which are best on this device, and how far the
// first choice is from them.
import { evaluate } from '../../codegen/extent.ts'
import type { KernelSpec, Params } from '../../codegen/kernel.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import type { KernelSite, KernelSource } from '../../codegen/program.ts'
import { paramSpace } from '../../codegen/select.ts'
import { targetDefines } from '../../codegen/target-defines.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type Bindings, byteSize, type FloatType } from '../../ir/type.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import type { DeviceBuffer, Driver } from '../../runtime/platform/driver.ts'
import { ModelPlan } from '../../src/api/plan.ts'
import { type BenchWeights, randomModel } from '../../src/bench/random-model.ts'
import { compileOptions, readOptions } from '../../src/options.ts'
import { median, type Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

/**
 * `llama-8b:bf16`, `llama-8b:bf16:8` for a batch, `llama-8b:bf16:8:bf16` for activations too, `llama-8b:bf16:1:bf16:512` for
 * prompts of so many tokens
 */
export interface SweepModel {
  readonly shape: string
  readonly weights: BenchWeights
  readonly batch: number
  readonly activations: FloatType
  /** tokens of a chunk of a prompt; without them a decode step */
  readonly prompt?: number
}

export const sweepModels = (text: string): SweepModel[] =>
  text.split(',').map((one) => {
    const [shape = '', weights = 'bf16', batch = '1', activations = 'f32', prompt] = one.split(':')
    return {
      shape,
      weights: weights as BenchWeights,
      batch: Number(batch),
      activations: activations as FloatType,
      ...(prompt === undefined ? {} : { prompt: Number(prompt) }),
    }
  })

interface Variant {
  readonly site: KernelSite
  readonly spec: KernelSpec
  readonly params: Params
  readonly source: KernelSource
}

/** weights of one variant, so many times that no cache holds them */
const coldBytes = 512 * 2 ** 20

export async function sweepPart(
  suite: Suite,
  device: SuiteDevice,
  models: readonly SweepModel[],
  most: number,
): Promise<void> {
  using memory = device.driver.alloc(coldBytes + 2 ** 30)
  using small = device.driver.alloc(64 * 2 ** 20)
  device.driver.fill(memory.address, 0x11, memory.bytes)
  device.driver.fill(small.address, 0, small.bytes)
  device.driver.synchronize()
  for (const { shape, weights, batch, activations, prompt } of models) {
    const bindings: Bindings = { P: 16, M: 16, R: 1, T: prompt ?? batch }
    const settings = readOptions(compileOptions, { context: Math.max(256, prompt ?? 0), maxBatch: batch, activations })
    const plan = new ModelPlan(randomModel(shape, weights), settings, device.target)
    const program = prompt === undefined ? plan.program('decode', batch) : plan.program('prefill')
    const sites = new Map<string, KernelSite>()
    for (const { site } of program.kernels)
      if (site?.site.types.w && site.site.types.w.shape.length === 2) sites.set(JSON.stringify(site.site), site)
    for (const site of sites.values())
      await oneSite(suite, device, `${shape} ${weights}`, site, bindings, memory, small, most)
  }
}

async function oneSite(
  suite: Suite,
  device: SuiteDevice,
  title: string,
  site: KernelSite,
  bindings: Bindings,
  memory: DeviceBuffer,
  small: DeviceBuffer,
  most: number,
): Promise<void> {
  const spec = kernelSpecs.find(({ name }) => name === site.kernel)!
  const all = [...paramSpace(spec, device.target, site.site)].filter(
    (params) => spec.valid(params, device.target, site.site) === true,
  )
  // evenly drawn, the first choice always among them
  const stride = Math.max(1, all.length / most)
  const drawn = Array.from({ length: Math.min(most, all.length) }, (_, i) => all[Math.floor(i * stride)]!)
  const variants = drawn.map((params) => variantOf(device, site, spec, params))
  const compiled = await device.service.compileEach(variants.map(({ source }) => compileJob(source, device.target)))
  const bytes = byteSize(site.site.types.w!)
  const timed: { params: Params; us: number }[] = []
  for (const [i, variant] of variants.entries()) {
    const kernel = compiled[i]!
    if (kernel instanceof Diagnostic) suite.note(`${JSON.stringify(variant.params)}: ${kernel.summary}`)
    else
      timed.push({
        params: variant.params,
        us: time(device.driver, device, variant, kernel.image, bindings, memory, small),
      })
  }
  const first = timed[0]!
  timed.sort((a, b) => a.us - b.us)
  const flops = evaluate(spec.cost(site.site).flops, bindings)
  const rate = (us: number) => `${(bytes / us / 1e3).toFixed(0)} GB/s, ${(flops / us / 1e6).toFixed(0)} TFLOP/s`
  const { w, x } = site.site.types
  const lines = timed
    .slice(0, 4)
    .map(({ params, us }) => `    ${us.toFixed(2)} µs, ${rate(us)}: ${JSON.stringify(params)}`)
  suite.note(
    [
      `${title} ${site.kernel} ${site.site.op} w ${w!.dtype}[${w!.shape}] x ${x!.dtype}[${x!.shape}]: ${timed.length} of ${all.length} settings; first choice ${first.us.toFixed(2)} µs, ${rate(first.us)}: ${JSON.stringify(first.params)}`,
      ...lines,
    ].join('\n'),
  )
}

function variantOf(device: SuiteDevice, site: KernelSite, spec: KernelSpec, params: Params): Variant {
  const defines = { ...targetDefines(device.target), ...spec.fixed(site.site, device.target), ...params }
  const source: KernelSource = {
    id: `${spec.template} ${JSON.stringify(defines)}`,
    template: spec.template,
    defines,
    entries: spec.stages.map(({ entry }) => entry),
  }
  return { site, spec, params, source }
}

/** µs of one call, the median of some replays of calls on weights that lie apart. */
function time(
  driver: Driver,
  device: SuiteDevice,
  { site: { site }, spec, params }: Variant,
  image: Uint8Array,
  bindings: Bindings,
  memory: DeviceBuffer,
  small: DeviceBuffer,
): number {
  using module = driver.loadModule(image)
  using stream = driver.createStream()
  using start = driver.createEvent()
  using stop = driver.createEvent()
  const bytes = byteSize(site.types.w!)
  const copies = Math.max(2, Math.ceil(coldBytes / bytes))
  const apart = Math.ceil(bytes / 256) * 256
  const scalars = spec.scalars(site)
  const scratch = spec.scratch(params, site, device.target)
  const counters = Object.keys(spec.counters(params, site, device.target))
  const zeros = small.address + BigInt(small.bytes - 65536) // nothing else lies there
  const launches = Array.from({ length: copies }, (_, copy) => {
    let at = small.address
    const place = (size: number): bigint => {
      const address = at
      at += BigInt(Math.ceil(size / 256) * 256)
      return address
    }
    const known = new Map<string, bigint>()
    const addressOf = (name: string): bigint => {
      if (name === 'w') return memory.address + BigInt((copy * apart) % (memory.bytes - apart))
      if (counters.includes(name)) return zeros
      const type = site.types[name]
      const size = type ? byteSize(type, bindings) : scratch[name] === undefined ? 0 : evaluate(scratch[name], bindings)
      if (size === 0) return 0n
      if (!known.has(name)) known.set(name, place(size))
      return known.get(name)!
    }
    return spec.stages.map((stage) => {
      const { grid, block, ldsBytes } = stage.launch(params, site, device.target)
      return driver.prepareLaunch({
        fn: module.kernel(stage.entry),
        grid: [evaluate(grid, bindings)],
        block: [block],
        ...(ldsBytes ? { ldsBytes } : {}),
        args: stage.args.map((name) =>
          scalars[name] !== undefined && !(name in site.types)
            ? { kind: 'i32', value: evaluate(scalars[name], bindings) }
            : { kind: 'pointer', address: addressOf(name) },
        ),
        label: stage.entry,
      })
    })
  }).flat()
  const run = () => {
    for (const launch of launches) launch.enqueue(stream)
  }
  using graph = driver.supportsGraphs ? stream.capture(run) : undefined
  const times: number[] = []
  for (let round = 0; round < 6; round++) {
    start.record(stream)
    if (graph) graph.launch(stream)
    else run()
    stop.record(stream)
    stream.synchronize()
    if (round > 0) times.push((stop.millisecondsSince(start) * 1e3) / copies)
  }
  return median(times)
}
