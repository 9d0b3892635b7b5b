// One op, one kernel: a graph of a single node, run by the reference executor and by the compiled kernel on any device,
// with every result poisoned before. Buffers are exactly as large as the step needs, so that sanitized runs see each
// access beyond them.
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { absent, compileProgram } from '../../codegen/compile.ts'
import { evaluate } from '../../codegen/extent.ts'
import type { KernelSpec } from '../../codegen/kernel.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import type { Program } from '../../codegen/program.ts'
import { emitSource } from '../../codegen/source.ts'
import { findTarget } from '../../codegen/targets.ts'
import { GraphBuilder } from '../../ir/builder.ts'
import { type Graph, nodesOf } from '../../ir/graph.ts'
import type { HostTensor } from '../../ir/host-tensor.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { bindInputs, executeReference } from '../../ir/reference.ts'
import type { Target } from '../../ir/target.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import { type Bindings, bindShape, byteSize, type Dtype, isCache, type TensorType } from '../../ir/type.ts'
import { fromBlocks, weightLayout } from '../../ir/weight-layout.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { type CompileService, createCompileService } from '../../runtime/compile/service.ts'
import { compileHostKernel } from '../../runtime/host/compiler.ts'
import { hostLibraryPath } from '../../runtime/host/library.ts'
import { runSanitized, type SanitizedArg } from '../../runtime/host/sanitizer.ts'
import { Driver } from '../../runtime/platform/driver.ts'
import { shippedCompiler, type TestCompiler, testCompiler } from '../test-compiler.ts'

shippedCompiler()

export interface KernelCase {
  readonly name: string
  /** declares inputs, applies the op, names outputs */
  readonly graph: (g: GraphBuilder) => void
  /** values of inputs and weights by name; shapes of inputs follow from the types and `bindings` */
  readonly values: Readonly<Record<string, ArrayLike<number> | { readonly bytes: Uint8Array }>>
  /** every symbol of the graph */
  readonly bindings?: Bindings
  /** choose among kernels; default: the registry */
  readonly specs?: readonly KernelSpec[]
  /** relative error allowed, in units of the output's eps; default: what the spec declares */
  readonly tolerance?: number
}

/** `host`, `host-wave32`, `host-wave64`: on this machine; `sanitized`: waves of 32 under the sanitizers, in a process of its own. */
export type HostMode = 'host' | 'host-wave32' | 'host-wave64' | 'sanitized'
/** with a matrix unit emulated too */
export const emulatedUnits = [
  'host-wave32-mma',
  'host-wave64-mfma',
  'host-wave64-mfma950',
  'host-wave32-wmma11',
  'host-wave32-wmma12',
] as const

const poison = 0xff

/** Uniform in [-1, 1), the same for the same seed. */
export function noise(seed: number, n: number, scale = 1): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 8) / 2 ** 23 - 1) * scale
  })
}

/** The kernel in a launch of another grid, as a stage of a larger launch finds it. */
export const inBlocks = (grid: number, kernel: KernelSpec): KernelSpec => ({
  ...kernel,
  stages: kernel.stages.map((stage) => ({ ...stage, launch: (...site) => ({ ...stage.launch(...site), grid }) })),
})

// ---- one case, prepared --------------------------------------------------------------------------------------------

interface Prepared {
  readonly graph: Graph
  readonly bindings: Bindings
  readonly program: Program
  /** contents of inputs, states and weights, by buffer */
  readonly bytes: ReadonlyMap<string, Uint8Array>
  readonly tolerance: number
}

function prepare(one: KernelCase, target: Target): Prepared {
  const builder = new GraphBuilder('kernel')
  one.graph(builder)
  const graph = builder.build()
  const bindings = one.bindings ?? {}
  const program = compileProgram(graph, { target, limits: bindings, ...(one.specs ? { specs: one.specs } : {}) })
  const bytes = new Map<string, Uint8Array>()
  for (const id of [...graph.inputs, ...graph.weights])
    bytes.set(id, bytesOf(graph.types[id]!, one.values[id.slice(1)]!))
  const last = program.calls.at(-1)!
  const spec = (one.specs ?? kernelSpecs).find(({ name }) => name === last.kernel)!
  const node = nodesOf(program.graph).find(({ id }) => id === last.node)!
  const types = Object.fromEntries([
    ...Object.entries(node.in).map(([name, id]) => [name, program.graph.types[id]!] as const),
    ...node.out.map((id, i) => [['y', 'y1', 'y2'][i]!, program.graph.types[id]!] as const),
  ])
  const tolerance = one.tolerance ?? spec.tolerance({ op: node.op, types, attrs: node.attrs, views: {} })
  return { graph, bindings, program, bytes, tolerance }
}

const bytesOf = (type: TensorType, values: KernelCase['values'][string]): Uint8Array =>
  'bytes' in values ? values.bytes : encodeValues(type.dtype, values)

/** What the reference makes of the same bytes. */
function expected({ graph, bindings, bytes }: Prepared): Record<string, HostTensor> {
  const decoded = (id: string, type: TensorType) =>
    decodeTensor(type.dtype, bindShape(type.shape, bindings), bytes.get(id)!.slice())
  const inputs = Object.fromEntries(graph.inputs.map((id) => [id.slice(1), decoded(id, graph.types[id]!)]))
  bindInputs(graph, { inputs, bindings })
  return executeReference(graph, { inputs, bindings, weight: (name, type) => decoded(`@${name}`, type) })
}

// ---- running -------------------------------------------------------------------------------------------------------

/** A program as buffers and launches, for whoever runs it. */
function launchesOf({ program, bindings, bytes }: Prepared) {
  const names = [
    ...new Set(program.calls.flatMap(({ args }) => args.map((a) => (a.kind === 'buffer' ? a.buffer : absent)))),
  ]
  const outputs = program.outputs.map(({ buffer }) => buffer)
  const buffers = [...new Set([...names, ...outputs])].filter((name) => name !== absent)
  const sizes = buffers.map((name) => {
    const { type, bytes: most, kind } = program.buffers[name]!
    return (kind === 'arena' || kind === 'counters') && type.shape.length === 0 ? most : byteSize(type, bindings)
  })
  const launches = program.calls
    .map((call) => ({
      source: call.source,
      entry: call.entry,
      grid: evaluate(call.grid, bindings),
      block: call.block,
      ldsBytes: call.ldsBytes,
      args: call.args.map((arg) =>
        arg.kind === 'scalar'
          ? { i32: evaluate(arg.value, bindings) }
          : { buffer: arg.buffer === absent ? -1 : buffers.indexOf(arg.buffer) },
      ),
    }))
    .filter(({ grid }) => grid > 0)
  const onDevice = (name: string) => {
    const { type } = program.buffers[name]!
    const given = bytes.get(name)
    return given && fromBlocks(type, weightLayout(type, program.target), given)
  }
  return {
    buffers,
    sizes,
    launches,
    contents: buffers.map((name, i) =>
      program.buffers[name]!.kind === 'counters' ? new Uint8Array(sizes[i]!) : onDevice(name),
    ),
  }
}

/** A device with the kernels of many cases. */
export class KernelBench implements Disposable {
  readonly target: Target
  readonly #driver: Driver
  readonly #service: CompileService
  readonly #images = new Map<string, Uint8Array>()

  /** `compiler`: in place of the one that kernels ship by */
  constructor(driver: Driver, target: Target, compiler?: TestCompiler) {
    this.#driver = driver
    this.target = target
    // kept between runs of the tests, apart from the user's
    const root = join(packageRoot(), 'node_modules', '.cache', 'rocmforge-test')
    this.#service = createCompileService({
      cache: openKernelCache({ root, readOnly: [] }),
      env: { ...process.env, ...(compiler ? testCompiler(compiler) : {}) },
    })
  }

  /** In emulation a case takes a hundredth of the time that its code is compiled in: nothing there is optimised. */
  static async host(
    mode: Exclude<HostMode, 'sanitized'> | (typeof emulatedUnits)[number],
    compiler?: TestCompiler,
  ): Promise<KernelBench> {
    const chosen = compiler ?? (mode === 'host' ? undefined : 'plain')
    return new KernelBench(new Driver('host', await hostLibraryPath(), 0), findTarget(mode), chosen)
  }

  /** Compiles all kernels of the cases, several at once. */
  async compile(cases: readonly KernelCase[]): Promise<void> {
    const sources = new Map(
      cases.flatMap((one) => prepare(one, this.target).program.kernels).map((source) => [source.id, source]),
    )
    const missing = [...sources.values()].filter(({ id }) => !this.#images.has(id))
    const compiled = await this.#service.compileAll(missing.map((source) => compileJob(source, this.target)))
    for (const [i, { id }] of missing.entries()) this.#images.set(id, compiled[i]!.image)
  }

  /** Runs a compiled case; outputs by name. */
  run(one: KernelCase): { outputs: Record<string, HostTensor>; kernels: string[] } {
    const prepared = prepare(one, this.target)
    const { buffers, sizes, launches, contents } = launchesOf(prepared)
    const driver = this.#driver
    const stack: Disposable[] = []
    const own = <T extends Disposable>(resource: T): T => {
      stack.push(resource)
      return resource
    }
    try {
      const stream = own(driver.createStream())
      const memory = sizes.map((size) => own(driver.alloc(Math.max(1, size))))
      for (const [i, buffer] of memory.entries()) {
        driver.fill(buffer.address, poison, Math.max(1, sizes[i]!))
        if (contents[i]?.length) driver.copyToDevice(buffer.address, contents[i]!)
      }
      driver.synchronize()
      for (const { source, entry, grid, block, ldsBytes, args } of launches) {
        const module = own(driver.loadModule(this.#images.get(source)!))
        driver
          .prepareLaunch({
            fn: module.kernel(entry),
            grid: [grid],
            block: [block],
            ldsBytes,
            args: args.map((arg) =>
              'i32' in arg
                ? { kind: 'i32', value: arg.i32! }
                : { kind: 'pointer', address: arg.buffer! < 0 ? 0n : memory[arg.buffer!]!.address },
            ),
            label: entry,
          })
          .enqueue(stream)
      }
      stream.synchronize()
      const read = (buffer: string) => {
        const i = buffers.indexOf(buffer)
        const bytes = new Uint8Array(sizes[i]!)
        if (bytes.length) driver.copyToHost(bytes, memory[i]!.address)
        return bytes
      }
      return { outputs: decodeOutputs(prepared, read), kernels: launches.map(({ entry }) => entry) }
    } finally {
      for (const resource of stack.reverse()) resource[Symbol.dispose]()
    }
  }

  /** Runs a case and compares every output with the reference's. */
  check(one: KernelCase): string[] {
    const prepared = prepare(one, this.target)
    const { outputs, kernels } = this.run(one)
    compare(expected(prepared), outputs, prepared.tolerance)
    return kernels
  }

  [Symbol.dispose](): void {
    this.#service[Symbol.dispose]()
    this.#driver[Symbol.dispose]()
  }
}

function decodeOutputs(
  { program, bindings }: Prepared,
  read: (buffer: string) => Uint8Array,
): Record<string, HostTensor> {
  return Object.fromEntries(
    program.outputs.map(({ name, buffer, type }) => {
      const bytes = read(buffer)
      if (!type.state) expectWritten(name, type.dtype, bytes)
      return [name, decodeTensor(type.dtype, bindShape(type.shape, bindings), bytes)]
    }),
  )
}

/** No element may hold the poison any more: no kernel writes a NaN or an integer of all ones. */
function expectWritten(name: string, dtype: Dtype, bytes: Uint8Array): void {
  const size = encodeValues(dtype, [0]).length
  for (let at = 0; at < bytes.length; at += size) {
    if (bytes.subarray(at, at + size).every((byte) => byte === poison))
      expect.fail(`element ${at / size} of ${name} was not written`)
  }
}

/** A case under the address and undefined-behaviour sanitizers. */
export async function checkSanitized(one: KernelCase): Promise<void> {
  const target = findTarget('host-wave32')
  const prepared = prepare(one, target)
  const { buffers, sizes, launches, contents } = launchesOf(prepared)
  const sources = prepared.program.kernels
  const modules = await Promise.all(
    sources.map(({ template, defines, entries }) =>
      compileHostKernel({
        template,
        source: emitSource({ template, defines }),
        kernels: entries,
        defines: [],
        mode: 'emulate',
        sanitize: true,
      }),
    ),
  )
  const result = await runSanitized({
    modules,
    buffers: sizes.map((size, i) => contents[i] ?? size),
    launches: launches.map(({ source, entry, grid, block, ldsBytes, args }) => ({
      module: sources.findIndex(({ id }) => id === source),
      kernel: entry,
      grid: [grid],
      block: [block],
      ldsBytes,
      args: args.map(
        (arg): SanitizedArg =>
          'i32' in arg ? { i32: arg.i32! } : arg.buffer! < 0 ? { u64: 0n } : { buffer: arg.buffer! },
      ),
    })),
    seed: 7,
  })
  if (!result.clean) expect.fail(`${result.finding}\n${result.report.slice(0, 2000)}`)
  const read = (buffer: string) => result.buffers[buffers.indexOf(buffer)]!
  compare(expected(prepared), decodeOutputs(prepared, read), prepared.tolerance)
}

// ---- comparing -----------------------------------------------------------------------------------------------------

/** Distance of 1 and the next number; of q8_0 as if all of a block were as large as its largest. */
const epsilons: Partial<Record<Dtype, number>> = { f16: 2 ** -10, bf16: 2 ** -7, f8_e4m3: 2 ** -3, q8_0: 2 ** -6 }
const epsilon = (dtype: Dtype): number => epsilons[dtype] ?? 2 ** -23
/** distance of the smallest numbers */
const finest = (dtype: Dtype): number =>
  dtype === 'f16' ? 2 ** -24 : dtype === 'bf16' ? 2 ** -133 : dtype === 'f8_e4m3' ? 2 ** -9 : 2 ** -149

/**
 * f32 within 1e-5, absolute or relative; f16 and bf16 within `tolerance` units in the last place. A sum (tolerance above 4)
 * is compared with the size of its tensor, since its terms may cancel. Integers, infinities and NaN are equal.
 */
export function compare(wanted: Record<string, HostTensor>, got: Record<string, HostTensor>, tolerance: number): void {
  expect(Object.keys(got)).toEqual(Object.keys(wanted))
  for (const [name, a] of Object.entries(wanted)) {
    const b = got[name]!
    expect(b.shape, name).toEqual(a.shape)
    const dtype = b.dtype
    const sum = tolerance > 4 || dtype === 'q8_0'
    const finite = Array.from(a.data as Float32Array, Math.abs).filter(Number.isFinite)
    const typical = sum ? Math.sqrt(finite.reduce((s, v) => s + (v / finite.length) * v, 0)) : 0
    for (let i = 0; i < a.data.length; i++) {
      const [x, y] = [a.data[i]!, b.data[i]!]
      if (Object.is(x, y) || x === y) continue
      if (!isCache(dtype)) expect.fail(`${name}[${i}] is ${y}, expected ${x}`)
      const size = Math.max(Math.abs(x), typical)
      const relative = Math.max(tolerance * epsilon(dtype), dtype === 'f32' && tolerance > 0 ? 1e-5 : 0)
      // a reference that cancels in f64 has an error of 1e-15 itself
      const floor = dtype === 'f32' ? (tolerance > 0 ? 1e-5 : 0) : tolerance * Math.max(finest(dtype), 1e-15)
      const overflow =
        !Number.isFinite(y) && Math.abs(x) > largest(dtype) * (1 - epsilon(dtype)) && Math.sign(x) === Math.sign(y)
      if (!(Math.abs(x - y) <= Math.max(relative * size, floor)) && !overflow)
        expect.fail(
          `${name}[${i}] is ${y}, expected ${x} (off by ${Math.abs(x - y)}, ${Math.max(relative * size, floor)} allowed)`,
        )
    }
  }
}

const largest = (dtype: Dtype): number => (dtype === 'f16' ? 65504 : dtype === 'f8_e4m3' ? 448 : 3.4e38)

// ---- suites --------------------------------------------------------------------------------------------------------

/**
 * Tests of every case in the host's fast mode and in emulation, with waves of 32 and of 64 in turn; of some under the
 * sanitizers. ROCMFORGE_TEST_ALL=1 runs every case with both wave sizes, and as kernels ship.
 */
export function testKernels(
  title: string,
  cases: readonly KernelCase[],
  options: {
    readonly sanitized?: readonly string[]
    /** each so many of the cases is compiled as kernels ship, the others with little optimisation; default: all as they ship */
    readonly shippedEach?: number
  } = {},
): void {
  const all = process.env['ROCMFORGE_TEST_ALL'] === '1'
  const each = all ? 1 : (options.shippedEach ?? 1)
  const modes = [
    ['host', undefined, cases.filter((_, i) => i % each === 0)],
    ['host', 'quick', cases.filter((_, i) => i % each > 0)],
    ['host-wave32', undefined, cases.filter((_, i) => all || i % 2 === 0)],
    ['host-wave64', undefined, cases.filter((_, i) => all || i % 2 === 1)],
  ] as const
  for (const [mode, compiler, picked] of modes) {
    if (picked.length === 0) continue
    describe(`${title}, ${mode}${compiler ? `, ${compiler}` : ''}`, () => {
      let bench: KernelBench
      beforeAll(async () => {
        bench = await KernelBench.host(mode, compiler)
        await bench.compile(picked)
        return () => bench[Symbol.dispose]()
      })
      test.each(picked.map((one) => [one.name, one] as const))('%s', (_, one) => {
        bench.check(one)
      })
    })
  }
  const picked = cases.filter(({ name }) => options.sanitized?.includes(name))
  if (picked.length > 0)
    describe(`${title}, sanitized`, () => {
      test.each(picked.map((one) => [one.name, one] as const))('%s', (_, one) => checkSanitized(one))
    })
}
