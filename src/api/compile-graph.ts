// Own models: a graph built from ops and weights, compiled and run with typed arrays in and out.
import { compileProgram } from '../../codegen/compile.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import { type HostTensor, hostTensor } from '../../ir/host-tensor.ts'
import { bindInputs, executeReference } from '../../ir/reference.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import {
  type Bindings,
  byteSize,
  type DimSymbol,
  type Dtype,
  dimSymbols,
  printType,
  type TensorType,
} from '../../ir/type.ts'
import { verify } from '../../ir/verify.ts'
import { fromBlocks, weightLayout } from '../../ir/weight-layout.ts'
import type { OptLevel, PassRecord } from '../../passes/pass.ts'
import { optimise } from '../../passes/pipeline.ts'
import { DeviceModel } from '../../runtime/execute/device-model.ts'
import type { Executable } from '../../runtime/execute/executable.ts'
import { type Device, openDevice } from './device.ts'

/** Values of one weight: numbers, or bytes as the weight's dtype lays them out (the only form of quantised weights). */
export type WeightValues = ArrayLike<number> | { readonly bytes: Uint8Array }

export interface CompileGraphOptions {
  /** `host`, `amd:0`, `nvidia:0`, `reference`, `auto`; or a device that is open already (it stays the caller's) */
  readonly device?: string | Device
  /** 0 … 3, default 3 */
  readonly optLevel?: OptLevel
  /** values of the graph's weights by name, without `@` */
  readonly weights?: Readonly<Record<string, WeightValues>>
  /** largest value of each symbol in the graph's types; default 512 */
  readonly limits?: Bindings
  readonly onPass?: (record: PassRecord) => void
}

/** Typed arrays for inputs and outputs; f16 and bf16 values are given and returned as f32. */
export type Values = Float32Array | Float64Array | Int32Array | Uint32Array | Int8Array | Uint8Array | readonly number[]

const defaultLimit = 512

/** Compiles a graph for a device. */
export async function compileGraph(source: Graph, options: CompileGraphOptions = {}): Promise<CompiledGraph> {
  verify(source)
  const graph = optimise(source, options.optLevel ?? 3, options.onPass)
  const limits: Bindings = {
    ...Object.fromEntries(dimSymbols.map((symbol) => [symbol, defaultLimit])),
    ...options.limits,
  }
  const weights = new Map(
    graph.weights.map((id) => [
      id.slice(1),
      weightBytes(id.slice(1), graph.types[id]!, options.weights?.[id.slice(1)]),
    ]),
  )
  const own = typeof options.device !== 'object'
  const device = typeof options.device === 'object' ? options.device : await openDevice(options.device ?? 'auto')
  try {
    if (device.kind === 'reference') return new CompiledGraph(graph, limits, weights, undefined, own ? [device] : [])
    const program = compileProgram(graph, { target: device.target, limits })
    const model = new DeviceModel({
      driver: device.driver,
      compiler: device.compiler,
      bindings: {},
      weights: {
        read: (name, _type, into, offset) => into.set(weights.get(name)!.subarray(offset, offset + into.length)),
      },
    })
    try {
      const [executable] = await model.load([{ program }])
      return new CompiledGraph(
        graph,
        limits,
        weights,
        { model, executable: executable! },
        own ? [model, device] : [model],
      )
    } catch (error) {
      model[Symbol.dispose]()
      throw error
    }
  } catch (error) {
    if (own) device[Symbol.dispose]()
    throw error
  }
}

function weightBytes(name: string, type: TensorType, values: WeightValues | undefined): Uint8Array {
  if (!values)
    return fail({
      code: 'missing-weight',
      message: `weight ${name} has no values`,
      facts: [['weight', `@${name}: ${printType(type)}`]],
      help: 'give it in the option `weights`',
    })
  const bytes = 'bytes' in values ? values.bytes : encodeValues(type.dtype, values)
  const expected = byteSize(type)
  if (bytes.length !== expected) {
    fail({
      code: 'bad-weight',
      message: `weight ${name} has the wrong size`,
      facts: [
        ['weight', `@${name}: ${printType(type)}`],
        ['expected', `${expected} bytes`],
        ['got', `${bytes.length} bytes`],
      ],
    })
  }
  return bytes
}

export class CompiledGraph implements Disposable, AsyncDisposable {
  /** after the passes */
  readonly graph: Graph
  readonly #limits: Bindings
  readonly #weights: ReadonlyMap<string, Uint8Array>
  readonly #loaded: { readonly model: DeviceModel; readonly executable: Executable } | undefined
  readonly #owned: readonly Disposable[]
  readonly #decoded = new Map<string, HostTensor>()
  readonly #states = new Map<string, HostTensor>()

  constructor(
    graph: Graph,
    limits: Bindings,
    weights: ReadonlyMap<string, Uint8Array>,
    loaded: { model: DeviceModel; executable: Executable } | undefined,
    owned: readonly Disposable[],
  ) {
    this.graph = graph
    this.#limits = limits
    this.#weights = weights
    this.#loaded = loaded
    this.#owned = owned
  }

  /** The program that runs; none on the reference executor. */
  get program() {
    return this.#loaded?.executable.program
  }

  /**
   * Runs the graph. Inputs by name, row-major; symbols take their values from `bindings`, or from the lengths of inputs
   * with one symbol. States keep their contents between runs. Returns outputs by name.
   */
  async run(inputs: Readonly<Record<string, Values>>, bindings: Bindings = {}): Promise<Record<string, HostTensor>> {
    const given = this.#tensors(inputs, bindings)
    const bound = bindInputs(this.graph, { inputs: { ...given, ...this.#stateTensors(bindings) }, bindings })
    for (const [symbol, value] of Object.entries(bound)) {
      const limit = this.#limits[symbol as DimSymbol]!
      if (value > limit)
        fail({
          code: 'beyond-limit',
          message: `${symbol} = ${value} is more than this graph was compiled for`,
          facts: [['limit', String(limit)]],
          help: `compile with limits: { ${symbol}: ${value} }`,
        })
    }
    if (!this.#loaded) return this.#runReference(given, bound)
    const { executable } = this.#loaded
    for (const [name, tensor] of Object.entries(given)) {
      const type = this.graph.types[`%${name}`]!
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
    const results = executeReference(this.graph, {
      inputs: { ...inputs, ...this.#stateTensors(bindings) },
      bindings,
      weight: (name, type) => {
        const known = this.#decoded.get(name)
        if (known) return known
        const tensor = decodeTensor(type.dtype, type.shape as number[], this.#weights.get(name)!)
        this.#decoded.set(name, tensor)
        return tensor
      },
    })
    return Object.fromEntries(
      Object.entries(results).filter(
        ([name]) => !this.graph.types[this.graph.outputs.find((o) => o.name === name)!.value]!.state,
      ),
    )
  }

  #stateTensors(bindings: Bindings): Record<string, HostTensor> {
    const states: Record<string, HostTensor> = {}
    for (const id of this.graph.inputs) {
      const type = this.graph.types[id]!
      if (!type.state) continue
      const shape = type.shape.map((dim) => (typeof dim === 'number' ? dim : (bindings[dim] ?? this.#limits[dim]!)))
      const known =
        this.#states.get(id) ?? hostTensor(type.dtype, shape, new Float32Array(shape.reduce((a, b) => a * b, 1)))
      this.#states.set(id, known)
      states[id.slice(1)] = known
    }
    return states
  }

  /** Inputs with their shapes: numbers as typed, symbols as bound or as the length tells. */
  #tensors(inputs: Readonly<Record<string, Values>>, bindings: Bindings): Record<string, HostTensor> {
    const bound: Bindings = { ...bindings }
    const wanted = this.graph.inputs.filter((id) => !this.graph.types[id]!.state)
    const unknown = Object.keys(inputs).find((name) => !wanted.includes(`%${name}`))
    if (unknown)
      fail({
        code: 'graph-input',
        message: `the graph has no input ${unknown}`,
        facts: [['inputs', wanted.map((id) => id.slice(1)).join(', ')]],
      })
    for (const id of wanted) {
      const values = inputs[id.slice(1)]
      const { shape } = this.graph.types[id]!
      const open = shape.filter((dim) => typeof dim === 'string' && bound[dim] === undefined)
      if (!values || open.length !== 1) continue
      const rest = shape.reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : (bound[dim] ?? 1)), 1)
      bound[open[0] as DimSymbol] = rest === 0 ? 0 : values.length / rest
    }
    return Object.fromEntries(
      wanted.map((id) => {
        const { shape, dtype } = this.graph.types[id]!
        const name = id.slice(1)
        const values = inputs[name]
        const numbers = shape.map((dim) => (typeof dim === 'number' ? dim : (bound[dim] ?? 0)))
        const expected = numbers.reduce((a, b) => a * b, 1)
        if (!values || values.length !== expected || !numbers.every(Number.isInteger)) {
          const row = shape.reduce<number>((n, dim) => n * (typeof dim === 'number' ? dim : 1), 1)
          const count = numbers.every(Number.isInteger) ? `${expected} values` : `a multiple of ${row} values`
          fail({
            code: 'graph-input',
            message: values ? `input ${name} has the wrong number of values` : `input ${name} is missing`,
            facts: [
              ['expected', `${name}: ${printType({ dtype, shape })}${values ? `, ${count}` : ''}`],
              ['got', values ? `${values.length} values` : 'nothing'],
            ],
          })
        }
        return [name, hostTensor(dtype as Dtype, numbers, values!)]
      }),
    )
  }

  [Symbol.dispose](): void {
    for (const resource of this.#owned) resource[Symbol.dispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]()
  }

  /** The same as leaving a `using` block. */
  dispose(): void {
    this[Symbol.dispose]()
  }
}
