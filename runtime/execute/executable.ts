// Executable: a program loaded on a device. Launches are packed once; running a step enqueues them, or replays them as
// one captured graph where nothing in them depends on the step.

import { absent } from '../../codegen/compile.ts'
import { type Extent, evaluate, symbolsOf } from '../../codegen/extent.ts'
import { buffersOf, type KernelCall, type PersistentStep, type Program } from '../../codegen/program.ts'
import { invariant } from '../../ir/diagnostic.ts'
import type { HostTensor } from '../../ir/host-tensor.ts'
import { decodeTensor } from '../../ir/tensor-bytes.ts'
import { type Bindings, bindShape, byteSize, type TensorType } from '../../ir/type.ts'
import { toBlocks, weightLayout } from '../../ir/weight-layout.ts'
import type { DeviceBuffer, Driver, Graph, Kernel, PinnedBuffer, PreparedLaunch, Stream } from '../platform/driver.ts'
import { PersistentLaunch } from './persistent-launch.ts'

/** What an executable stands on; owned by whoever made it. */
interface Resources {
  readonly driver: Driver
  readonly stream: Stream
  /** a compiled and loaded kernel of the program */
  readonly kernel: (source: string, entry: string) => Kernel
  /** memory of a weight, a state or counters */
  readonly address: (buffer: Program['buffers'][string]) => bigint
  /** at least `program.arenaBytes`, shared by programs that run one after the other */
  readonly arena: bigint
  /** values of symbols that never change while the program is loaded, such as P and M */
  readonly bindings: Bindings
  /** output name → input name: the step writes this output where the next step reads that input */
  readonly feedback?: Readonly<Record<string, string>>
}

/** A launch whose scalars or grid depend on the step. */
interface Varying {
  readonly launch: PreparedLaunch
  readonly grid: Extent
  readonly scalars: readonly { readonly index: number; readonly value: Extent }[]
}

const inputAlignment = 64

export class Executable implements Disposable {
  readonly program: Program
  /** symbols that a step must bind */
  readonly symbols: readonly string[]
  readonly #resources: Resources
  readonly #owned: Disposable[] = []
  readonly #addresses = new Map<string, bigint>()
  readonly #launches: readonly { enqueue(stream: Stream): void }[]
  /** the launch of many stages among them */
  readonly #resident: PersistentLaunch | undefined
  readonly #varying: Varying[] = []
  /** inputs are concatenated, here and on the device, so that a step sends them in one copy */
  readonly #inputs = new Map<string, { readonly type: TensorType; readonly offset: number; readonly bytes: number }>()
  readonly #device: DeviceBuffer
  readonly #staged: PinnedBuffer
  #bound: Bindings | undefined
  #graph: Graph | undefined
  #sending = false

  constructor(program: Program, resources: Resources) {
    this.program = program
    this.#resources = resources
    const { driver } = resources
    let bytes = 0
    for (const { id, type, bytes: size } of buffersOf(program, 'input')) {
      this.#inputs.set(id.slice(1), { type, offset: bytes, bytes: size })
      bytes += Math.ceil(size / inputAlignment) * inputAlignment
    }
    try {
      this.#device = this.#own(driver.during(`inputs of @${program.name}`, () => driver.alloc(bytes)))
      this.#staged = this.#own(driver.during(`inputs of @${program.name}`, () => driver.allocPinned(bytes)))
      this.#staged.view.fill(0)
      this.#place()
      const { persistent } = program
      this.#resident = persistent && this.#own(this.#persistent(persistent))
      this.#launches = [
        ...(this.#resident ? [this.#resident] : []),
        ...program.calls.slice(persistent?.stages.length ?? 0).map((call) => this.#prepare(call)),
      ]
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
    const symbols = new Set(
      this.#varying.flatMap(({ grid, scalars }) => [grid, ...scalars.map(({ value }) => value)]).flatMap(symbolsOf),
    )
    this.symbols = [...symbols].filter((symbol) => !(symbol in resources.bindings)).map(String)
  }

  #own<T extends Disposable>(resource: T): T {
    this.#owned.push(resource)
    return resource
  }

  #place(): void {
    const { driver, arena, address, feedback = {} } = this.#resources
    for (const buffer of Object.values(this.program.buffers)) {
      const { id, kind, bytes } = buffer
      if (kind === 'input')
        this.#addresses.set(id, this.#device.address + BigInt(this.#inputs.get(id.slice(1))!.offset))
      else if (kind === 'arena') this.#addresses.set(id, arena + BigInt(buffer.offset ?? 0))
      else if (kind === 'weight' || kind === 'state' || kind === 'counters') this.#addresses.set(id, address(buffer))
      else if (!this.#fed(id, feedback))
        this.#addresses.set(
          id,
          this.#own(driver.during(`output ${id} of @${this.program.name}`, () => driver.alloc(bytes))).address,
        )
    }
    for (const [output, input] of Object.entries(feedback)) {
      const { buffer } = this.#output(output)
      const [target, reads, writes] = [`%${input}`, this.#touches(`%${input}`), this.#touches(buffer)]
      invariant(
        Math.max(...reads, -1) <= Math.min(...writes), // one call may do both: what a step ends with works in place
        `output ${output} is written before input ${input} was read for the last time`,
      )
      this.#addresses.set(buffer, this.#addresses.get(target)!)
    }
  }

  #fed(buffer: string, feedback: Readonly<Record<string, string>>): boolean {
    return Object.keys(feedback).some((name) => this.#output(name).buffer === buffer)
  }

  #touches(buffer: string): number[] {
    return this.program.calls.flatMap(({ args }, i) =>
      args.some((arg) => arg.kind === 'buffer' && arg.buffer === buffer) ? [i] : [],
    )
  }

  #persistent(step: PersistentStep): PersistentLaunch {
    const { driver, kernel, bindings } = this.#resources
    return new PersistentLaunch(this.program, step, {
      driver,
      kernel: kernel(step.source, step.entry),
      address: (buffer) => this.#addresses.get(buffer)!,
      bindings,
    })
  }

  #prepare(call: KernelCall): PreparedLaunch {
    const { driver, kernel, bindings } = this.#resources
    const isFixed = (extent: Extent) => symbolsOf(extent).every((symbol) => symbol in bindings)
    const now = (extent: Extent) => (isFixed(extent) ? evaluate(extent, bindings) : 0)
    const launch = driver.prepareLaunch({
      fn: kernel(call.source, call.entry),
      grid: [now(call.grid)],
      block: [call.block],
      ldsBytes: call.ldsBytes,
      ...(call.early ? { early: true } : {}),
      args: call.args.map((arg) =>
        arg.kind === 'scalar'
          ? { kind: 'i32', value: now(arg.value) }
          : { kind: 'pointer', address: arg.buffer === absent ? 0n : this.#addresses.get(arg.buffer)! },
      ),
      label: `${call.node}${call.label ? ` (${call.label})` : ''} ${call.entry}`,
    })
    const scalars = call.args.flatMap((arg, index) =>
      arg.kind === 'scalar' && !isFixed(arg.value) ? [{ index, value: arg.value }] : [],
    )
    if (scalars.length || !isFixed(call.grid)) this.#varying.push({ launch, grid: call.grid, scalars })
    return launch
  }

  /** Sets an input for the next run; shorter data leave the rest as it was. Sent by `run`. */
  setInput(name: string, values: ArrayLike<number>): void {
    const input = this.#inputs.get(name)
    invariant(input, `@${this.program.name} has no input ${name}`)
    this.#settle()
    const { offset, bytes, type } = input
    const whole = this.#staged.view
    const Storage = { f32: Float32Array, i32: Int32Array, u32: Uint32Array }[type.dtype as 'f32' | 'i32' | 'u32']
    if (Storage) new Storage(whole.buffer, whole.byteOffset + offset, bytes / 4).set(values)
    else whole.set(values as Uint8Array, offset)
  }

  /** The staging memory must not change while a copy from it is in flight. */
  #settle(): void {
    if (!this.#sending) return
    this.#resources.stream.synchronize()
    this.#sending = false
  }

  hasInput = (name: string): boolean => this.#inputs.has(name)

  /** Copies all inputs to the device, in stream order. */
  sendInputs(): void {
    const { driver, stream } = this.#resources
    driver.copyToDevice(this.#device.address, this.#staged.address, this.#staged.bytes, stream)
    this.#sending = true
  }

  /** Enqueues one step. Every symbol of the program must be bound, within the program's limits. */
  run(bindings: Bindings = {}): void {
    this.check()
    if (this.#graph) {
      this.#graph.launch(this.#resources.stream)
      return
    }
    if (this.#varying.length && !this.#isBound(bindings)) this.#bind(bindings)
    for (const launch of this.#launches) launch.enqueue(this.#resources.stream)
  }

  /** Throws the Diagnostic `step-stuck` if a launch of many stages that has run gave up. */
  check(): void {
    this.#resident?.check()
  }

  /** What the blocks of a launch of many stages recorded last; undefined if they record nothing. */
  trace(): { readonly ticks: BigUint64Array; readonly blocks: number } | undefined {
    const ticks = this.#resident?.trace()
    return ticks && { ticks, blocks: this.#resident!.blocks }
  }

  #isBound(bindings: Bindings): boolean {
    return this.#bound !== undefined && this.symbols.every((s) => this.#bound![s as 'T'] === bindings[s as 'T'])
  }

  #bind(step: Bindings): void {
    const bindings = { ...this.#resources.bindings, ...step }
    for (const symbol of this.symbols) {
      const [value, limit] = [bindings[symbol as 'T'], this.program.limits[symbol as 'T']]
      invariant(
        value !== undefined && limit !== undefined && value <= limit,
        `${symbol} = ${value} is outside the program's limit ${limit}`,
      )
    }
    for (const { launch, grid, scalars } of this.#varying) {
      launch.setGrid(evaluate(grid, bindings))
      for (const { index, value } of scalars) launch.setArg(index, evaluate(value, bindings))
    }
    this.#bound = step
  }

  /** Can a step be captured once and replayed? Not if launches depend on what a step binds. */
  get replayable(): boolean {
    return this.#varying.length === 0 && this.#resources.driver.supportsGraphs
  }

  /** From now on `run` replays one captured graph. */
  capture(): void {
    invariant(this.replayable, `launches of @${this.program.name} depend on the step`)
    this.#graph = this.#own(
      this.#resources.stream.capture(() => {
        for (const launch of this.#launches) launch.enqueue(this.#resources.stream)
      }),
    )
  }

  /** Back to plain launches. */
  release(): void {
    this.#graph?.[Symbol.dispose]()
    this.#graph = undefined
  }

  get launches(): number {
    return this.#launches.length
  }

  #output(name: string): Program['outputs'][number] {
    const output = this.program.outputs.find((one) => one.name === name)
    invariant(output, `@${this.program.name} has no output ${name}`)
    return output
  }

  /** Where an output lies on the device. */
  outputAddress(name: string): bigint {
    return this.#addresses.get(this.#output(name).buffer)!
  }

  /** Where an input lies on the device. */
  inputAddress(name: string): bigint {
    return this.#addresses.get(`%${name}`)!
  }

  /** Copies an output to the host; waits for the stream. Floats of every width come as f32. */
  async read(name: string, bindings: Bindings = {}): Promise<HostTensor> {
    const { driver, stream } = this.#resources
    const { type } = this.#output(name)
    const bound = { ...this.#resources.bindings, ...bindings }
    const bytes = byteSize(type, bound)
    using pinned = driver.during(`reading output ${name} of @${this.program.name}`, () => driver.allocPinned(bytes))
    driver.copyToHost(pinned.address, this.outputAddress(name), bytes, stream)
    await stream.synchronizeAsync()
    this.#sending = false
    const blocks = toBlocks(type, weightLayout(type, this.program.target), pinned.view.slice())
    return decodeTensor(type.dtype, bindShape(type.shape, bound), blocks)
  }

  [Symbol.dispose](): void {
    for (const resource of this.#owned.splice(0).reverse()) resource[Symbol.dispose]()
    this.#graph = undefined
  }
}
