// Own models: a graph built from ops and weights, compiled and run with typed arrays in and out.
import { z } from 'zod'
import { compileProgram } from '../../codegen/compile.ts'
import type { KernelSpec } from '../../codegen/kernel.ts'
import { withOwnKernels } from '../../codegen/own-kernel.ts'
import type { Program } from '../../codegen/program.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { bindInputs, executeReference } from '../../ir/reference.ts'
import { shown } from '../../ir/shown.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import { type Bindings, stepSymbols } from '../../ir/type.ts'
import { verify } from '../../ir/verify.ts'
import { fromBlocks, weightLayout } from '../../ir/weight-layout.ts'
import { type OptLevel, optLevels, type PassRecord } from '../../passes/pass.ts'
import { type OwnPasses, optimise } from '../../passes/pipeline.ts'
import { DeviceModel } from '../../runtime/execute/device-model.ts'
import type { Executable } from '../../runtime/execute/executable.ts'
import { at, callSite } from '../call-site.ts'
import { extensionOptions, isOpenDevice, readOptions, signalOption } from '../options.ts'
import { type Device, openDevice } from './device.ts'
import { checkSymbols, inputTensors, symbolsIn, type Values, type WeightValues, weightBytesOf } from './graph-values.ts'
import { checkingCompiler } from './self-check.ts'

/** Options of `compileGraph`. */
export interface CompileGraphOptions {
  /**
   * 'auto', 'host', 'amd:0', 'nvidia:0', 'gfx1100', 'reference'; or a device that is open already, which stays the caller's.
   * Default: 'auto'.
   */
  readonly device?: string | Device | undefined
  /** Fusion: 0 none … 3 all. Default: 3. */
  readonly optLevel?: OptLevel | undefined
  /** Values of the graph's weights by name, without `@`. Default: {}. */
  readonly weights?: Readonly<Record<string, WeightValues>> | undefined
  /** Largest value of each symbol in the graph's types, elements of its dim. Default: 512 each. */
  readonly limits?: Bindings | undefined
  /**
   * Passes of your own, made by `rewritePass` or `editPass`: a list runs before ours that fuse, at every level; a function is
   * given ours of the level, in order, and returns all that shall run. Default: [].
   */
  readonly passes?: OwnPasses | undefined
  /** Kernels of your own, made by `defineKernel`: preferred to ours, the first of the list most. Default: []. */
  readonly kernels?: readonly KernelSpec[] | undefined
  /**
   * Run the graph before and after every pass through the reference executor, in f64, on random inputs, and refuse a pass that
   * changes what it computes (Diagnostic `wrong-pass`). Default: false.
   */
  readonly checkPasses?: boolean | undefined
  /**
   * Run each kernel alone on the device and compare what it leaves with the reference of its op (Diagnostic
   * `self-check-failed`). Default: false.
   */
  readonly selfCheck?: boolean | undefined
  /** Called after each pass, with the graphs before and after it. */
  readonly onPass?: ((record: PassRecord) => void) | undefined
  /** An AbortSignal: ends the call, which rejects with the signal's reason. Default: none. */
  readonly signal?: AbortSignal | undefined
}

const isFunction = (value: unknown): boolean => typeof value === 'function'
const isRecord = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value)

const compileGraphOptions = z.strictObject({
  device: z
    .union([z.string(), z.custom<Device>(isOpenDevice, 'expected an open device')])
    .default('auto')
    .describe('auto, amd:0, nvidia:0, gfx1100, sm_90, a UUID, host, reference; or an open device'),
  optLevel: z.literal(optLevels).default(3).describe('fusion: 0 none … 3 all'),
  weights: z
    .custom<Readonly<Record<string, WeightValues>>>(isRecord, 'expected an object')
    .default({})
    .describe('values of the graph’s weights by name, without @'),
  limits: z
    .custom<Bindings>(isRecord, 'expected an object')
    .default({})
    .describe('largest value of each symbol in the graph’s types; default 512'),
  ...extensionOptions,
  selfCheck: z.boolean().default(false).describe('check each kernel on the device against its reference'),
  onPass: z
    .custom<(record: PassRecord) => void>(isFunction, 'expected a function')
    .optional()
    .describe('called after each pass'),
  signal: signalOption.describe('an AbortSignal: ends the call, which rejects with the signal’s reason'),
})

const defaultLimit = 512

/**
 * Compiles a graph for a device. Errors: `bad-option`, `bad-argument`, `bad-graph`, `unknown-weight`, `missing-weight`,
 * `bad-weight`, `unknown-symbol`, `no-kernel`, `bad-pass`, `wrong-pass`, `bad-kernel`, and those of devices and compilers.
 * @example await using mlp = await compileGraph(graph.build(), { weights, limits: { B: 64 } })
 */
export function compileGraph(source: Graph, options: CompileGraphOptions = {}): Promise<CompiledGraph> {
  return at(callSite(compileGraph), () => compileChecked(source, options))
}

async function compileChecked(source: Graph, options: CompileGraphOptions): Promise<CompiledGraph> {
  const settings = readOptions(compileGraphOptions, options)
  const { signal } = settings
  signal?.throwIfAborted()
  verify(checkedGraph(source))
  const { passes, checkPasses, kernels } = settings
  const specs = withOwnKernels(kernels)
  const graph = optimise(source, settings.optLevel, settings.onPass, { passes, checkPasses })
  const symbols = symbolsIn(source)
  checkSymbols(source, symbols, settings.limits, 'the option limits')
  const limits: Bindings = {
    ...Object.fromEntries([...stepSymbols, ...symbols].map((symbol) => [symbol, defaultLimit])),
    ...settings.limits,
  }
  const weights = weightBytesOf(graph, source, settings.weights)
  const own = typeof settings.device !== 'object'
  const device = typeof settings.device === 'object' ? settings.device : await openDevice(settings.device)
  try {
    if (device.kind === 'reference')
      return new CompiledGraph({ graph, symbols, limits, weights, owned: own ? [device] : [] })
    const program = compileProgram(graph, { target: device.target, limits, specs })
    const model = new DeviceModel({
      driver: device.driver,
      compiler: settings.selfCheck ? checkingCompiler(device, kernels, 'all') : device.compiler,
      bindings: {},
      weights: {
        read: (name, _type, into, offset) => into.set(weights.get(name)!.subarray(offset, offset + into.length)),
      },
    })
    try {
      const [executable] = await model.load([{ program }], signal)
      const owned = own ? [model, device] : [model]
      return new CompiledGraph({ graph, symbols, limits, weights, loaded: { model, executable: executable! }, owned })
    } catch (error) {
      model[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    if (own) device[Symbol.dispose]()
    throw error
  }
}

function checkedGraph(source: unknown): Graph {
  const isGraph = typeof source === 'object' && source !== null && 'order' in source && 'types' in source
  if (isGraph) return source as Graph
  const isBuilder = typeof source === 'object' && source !== null && 'build' in source
  return fail({
    code: 'bad-argument',
    message: `compileGraph takes a graph, got ${isBuilder ? 'a builder of one' : shown(source)}`,
    help: isBuilder ? 'give builder.build()' : 'make one with GraphBuilder and its build(), or with parseGraph(text)',
  })
}

/** What a CompiledGraph is made of. */
interface GraphParts {
  readonly graph: Graph
  /** of the graph before its passes: what callers may bind */
  readonly symbols: readonly string[]
  readonly limits: Bindings
  readonly weights: ReadonlyMap<string, Uint8Array>
  /** none on the reference executor */
  readonly loaded?: { readonly model: DeviceModel; readonly executable: Executable }
  readonly owned: readonly Disposable[]
}

/** A graph that is ready to run; made by `compileGraph`. Release it with `using`, `await using` or `dispose()`. */
export class CompiledGraph implements Disposable, AsyncDisposable {
  readonly #parts: GraphParts
  readonly #decoded = new Map<string, HostTensor>()
  readonly #states = new Map<string, HostTensor>()
  /** the runs that were asked for so far: they share inputs and outputs on the device, so each waits for the one before */
  #last: Promise<unknown> = Promise.resolve()
  #waiting = 0
  #disposed = false
  #isReleased = false

  /** @internal */
  constructor(parts: GraphParts) {
    this.#parts = parts
  }

  /** the graph after its passes */
  get graph(): Graph {
    return this.#parts.graph
  }

  /** The program that runs; none on the reference executor. */
  get program(): Program | undefined {
    return this.#parts.loaded?.executable.program
  }

  /**
   * Runs the graph. Inputs by name, row-major; symbols take their values from `bindings`, or from the lengths of inputs
   * with one symbol. States keep their contents between runs. Returns outputs by name.
   */
  run(inputs: Readonly<Record<string, Values>> = {}, bindings: Bindings = {}): Promise<Record<string, HostTensor>> {
    const site = callSite(this.run)
    const run = this.#last.then(() => at(site, () => this.#run(inputs, bindings)))
    this.#waiting++
    this.#last = run.then(
      () => this.#done(),
      () => this.#done(),
    )
    return run
  }

  async #run(inputs: Readonly<Record<string, Values>>, given: Bindings): Promise<Record<string, HostTensor>> {
    const { graph, symbols, limits, loaded } = this.#parts
    if (this.#disposed)
      fail({ code: 'disposed', message: `graph @${graph.name} was disposed of`, help: 'run it before that' })
    for (const [what, value] of Object.entries({ inputs, bindings: given }))
      if (!isRecord(value))
        fail({
          code: 'bad-argument',
          message: `${what} of run are an object by name, not ${shown(value)}`,
          help: 'run({ x: values }, { T: 4 })',
        })
    checkSymbols(graph, symbols, given, 'the bindings of run')
    const { tensors, bindings } = inputTensors(graph, inputs, given)
    const bound = bindInputs(graph, { inputs: { ...tensors, ...this.#stateTensors(bindings) }, bindings })
    for (const [symbol, value = 0] of Object.entries(bound)) {
      const limit = limits[symbol]!
      if (value > limit)
        fail({
          code: 'beyond-limit',
          message: `${symbol} = ${value} is more than this graph was compiled for`,
          facts: [['limit', String(limit)]],
          help: `compile with limits: { ${symbol}: ${value} }`,
        })
    }
    if (!loaded) return this.#runReference(tensors, bound)
    const { executable } = loaded
    for (const [name, tensor] of Object.entries(tensors)) {
      const type = graph.types[`%${name}`]!
      const { dtype } = type
      const is32 = dtype === 'f32' || dtype === 'i32' || dtype === 'u32'
      const layout = weightLayout(type, executable.program.target)
      executable.setInput(name, is32 ? tensor.data : fromBlocks(type, layout, encodeValues(dtype, tensor.data)))
    }
    executable.sendInputs()
    executable.run(bound)
    const results: Record<string, HostTensor> = {}
    for (const { name, type } of executable.program.outputs)
      if (!type.state) results[name] = await executable.read(name, bound)
    return results
  }

  #runReference(inputs: Record<string, HostTensor>, bindings: Bindings): Record<string, HostTensor> {
    const { graph, weights } = this.#parts
    const results = executeReference(graph, {
      inputs: { ...inputs, ...this.#stateTensors(bindings) },
      bindings,
      weight: (name, type) => {
        const known = this.#decoded.get(name)
        if (known) return known
        const tensor = decodeTensor(type.dtype, type.shape as number[], weights.get(name)!)
        this.#decoded.set(name, tensor)
        return tensor
      },
    })
    return Object.fromEntries(
      Object.entries(results).filter(
        ([name]) => !graph.types[graph.outputs.find((o) => o.name === name)!.value]!.state,
      ),
    )
  }

  #stateTensors(bindings: Bindings): Record<string, HostTensor> {
    const { graph, limits } = this.#parts
    const states: Record<string, HostTensor> = {}
    for (const id of graph.inputs) {
      const type = graph.types[id]!
      if (!type.state) continue
      const shape = type.shape.map((dim) => (typeof dim === 'number' ? dim : (bindings[dim] ?? limits[dim]!)))
      const known =
        this.#states.get(id) ?? hostTensor(type.dtype, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)))
      this.#states.set(id, known)
      states[id.slice(1)] = known
    }
    return states
  }

  #done(): void {
    this.#waiting--
    if (this.#disposed) this.#release()
  }

  /** Releases everything as soon as no run is under way; those that wait for it fail with the Diagnostic `disposed`. */
  [Symbol.dispose](): void {
    this.#disposed = true
    this.#release()
  }

  #release(): void {
    if (this.#waiting > 0 || this.#isReleased) return
    this.#isReleased = true
    for (const resource of this.#parts.owned) resource[Symbol.dispose]()
  }

  /** Waits for the runs that were asked for, then releases everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last
    this[Symbol.dispose]()
  }

  /** The same as leaving a `using` block. */
  dispose(): void {
    this[Symbol.dispose]()
  }
}
