// DeviceModel: the programs of one model on one device: kernels compiled and loaded, weights and states in memory, one
// arena for all. Owns everything it makes, and gives it back in one call.

import { buffersOf, type KernelSource, type Program, sourcesOf } from '../../codegen/program.ts'
import { invariant } from '../../ir/diagnostic.ts'
import { type Bindings, bindShape } from '../../ir/type.ts'
import type { KernelCompiler } from '../compile/kernel-compiler.ts'
import type { DeviceBuffer, Driver, Kernel, Module, Stream } from '../platform/driver.ts'
import { Executable } from './executable.ts'
import { DeviceWeights, type LoadProgress, type WeightSource } from './weights.ts'

interface DeviceModelOptions {
  readonly driver: Driver
  readonly compiler: KernelCompiler
  readonly weights: WeightSource
  /** symbols bound for good, such as P and M */
  readonly bindings: Bindings
  /** states whose memory is the caller's: name → address */
  readonly states?: Readonly<Record<string, bigint>>
  readonly onWeights?: (progress: LoadProgress) => void
}

/** Device memory that programs need, in bytes. */
export interface MemoryNeeds {
  readonly weights: number
  readonly states: number
  /** intermediate values, and what blocks count in */
  readonly arena: number
  readonly inputsAndOutputs: number
  readonly total: number
}

/** What loading these programs together takes. */
export function memoryNeeds(programs: readonly Program[]): MemoryNeeds {
  const parts = new Map<string, number>()
  const states = new Map<string, number>()
  let inputsAndOutputs = 0
  for (const program of programs) {
    for (const buffer of buffersOf(program, 'weight'))
      for (const { weight, bytes } of buffer.parts!) parts.set(weight, bytes)
    for (const buffer of buffersOf(program, 'state')) states.set(buffer.id, buffer.bytes)
    for (const kind of ['input', 'output'] as const)
      for (const buffer of buffersOf(program, kind)) inputsAndOutputs += buffer.bytes
  }
  const sum = (sizes: Iterable<number>) => [...sizes].reduce((a, b) => a + b, 0)
  const needs = {
    weights: sum(parts.values()),
    states: sum(states.values()),
    arena: Math.max(0, ...programs.map(({ arenaBytes }) => arenaBytes)) + sum(counterBytes(programs).values()),
    inputsAndOutputs,
  }
  return { ...needs, total: needs.weights + needs.states + needs.arena + needs.inputsAndOutputs }
}

/** Counters by id, as large as the largest program that uses them needs. */
function counterBytes(programs: readonly Program[]): Map<string, number> {
  const sizes = new Map<string, number>()
  for (const program of programs)
    for (const { id, bytes } of buffersOf(program, 'counters')) sizes.set(id, Math.max(bytes, sizes.get(id) ?? 0))
  return sizes
}

const kernelKey = (source: string, entry: string): string => `${entry} of ${source}`

export class DeviceModel implements Disposable {
  readonly stream: Stream
  readonly #options: DeviceModelOptions
  readonly #weights: DeviceWeights
  readonly #modules: Module[] = []
  readonly #kernels = new Map<string, Kernel>()
  readonly #states = new Map<string, DeviceBuffer>()
  readonly #executables: Executable[] = []
  readonly #arenas: DeviceBuffer[] = []
  /** zeroed once: every launch leaves them zero */
  readonly #counters = new Map<string, DeviceBuffer[]>()

  constructor(options: DeviceModelOptions) {
    this.#options = options
    this.stream = options.driver.createStream()
    this.#weights = new DeviceWeights(options.driver, (source, entry) => this.#kernel(source, entry))
  }

  /** Loads programs that will share weights, states and arena. Nothing of it may run yet while more are loaded. */
  async load(
    programs: readonly { readonly program: Program; readonly feedback?: Readonly<Record<string, string>> }[],
    signal?: AbortSignal,
  ): Promise<Executable[]> {
    const { driver, compiler, weights, onWeights, bindings, states: given = {} } = this.#options
    const all = programs.map(({ program }) => program)
    const images = await this.#compile(all, compiler, signal)
    this.#loadModules(all, images)
    await this.#weights.load(all, weights, this.stream, onWeights, signal)
    const arena = this.#arenaOf(Math.max(...all.map(({ arenaBytes }) => arenaBytes)))
    for (const program of all)
      for (const { id, bytes, type } of buffersOf(program, 'state'))
        if (given[id.slice(1)] === undefined) this.#state(id, bytes, bindShape(type.shape, program.limits).join())
    const counters = new Map([...counterBytes(all)].map(([id, bytes]) => [id, this.#countersOf(id, bytes)]))
    return programs.map(({ program, feedback }) => {
      const executable = new Executable(program, {
        driver,
        stream: this.stream,
        arena,
        bindings,
        kernel: (source, entry) => this.#kernel(source, entry),
        address: (buffer) => {
          if (buffer.kind === 'weight') return this.#weights.addressOf(buffer)
          return counters.get(buffer.id) ?? given[buffer.id.slice(1)] ?? this.#states.get(buffer.id)!.address
        },
        ...(feedback ? { feedback } : {}),
      })
      this.#executables.push(executable)
      return executable
    })
  }

  async #compile(
    programs: readonly Program[],
    compiler: KernelCompiler,
    signal?: AbortSignal,
  ): Promise<ReadonlyMap<string, Uint8Array>> {
    const sources = new Map<string, KernelSource>()
    for (const source of programs.flatMap(sourcesOf)) {
      if (source.entries.every((entry) => this.#kernels.has(kernelKey(source.id, entry)))) continue
      const entries = new Set([...(sources.get(source.id)?.entries ?? []), ...source.entries])
      sources.set(source.id, { ...source, entries: [...entries].sort() })
    }
    return sources.size ? compiler.compile([...sources.values()], programs[0]!.target, signal) : new Map()
  }

  #loadModules(programs: readonly Program[], images: ReadonlyMap<string, Uint8Array>): void {
    const { driver } = this.#options
    for (const [id, image] of images) {
      const module = driver.during(`loading ${id}`, () => driver.loadModule(image))
      this.#modules.push(module)
      const entries = programs
        .flatMap((program) => sourcesOf(program).filter((source) => source.id === id))
        .flatMap((source) => source.entries)
      for (const entry of new Set(entries)) this.#kernels.set(kernelKey(id, entry), module.kernel(entry))
    }
  }

  #kernel(source: string, entry: string): Kernel {
    const kernel = this.#kernels.get(kernelKey(source, entry))
    invariant(kernel, `kernel ${entry} of ${source} is not loaded`)
    return kernel
  }

  /** Executables hold addresses in their arena, so a later, larger program gets one of its own. */
  #arenaOf(bytes: number): bigint {
    if (bytes === 0) return 0n
    const { driver } = this.#options
    const known = this.#arenas.find((arena) => arena.bytes >= bytes)
    const arena = known ?? driver.during('the arena of intermediate values', () => driver.alloc(bytes))
    if (!known) this.#arenas.push(arena)
    return arena.address
  }

  /** As with arenas, a later program that needs more gets its own. */
  #countersOf(id: string, bytes: number): bigint {
    const { driver } = this.#options
    const known = this.#counters.get(id) ?? []
    const found = known.find((buffer) => buffer.bytes >= bytes)
    if (found) return found.address
    const made = driver.during(`counters ${id}`, () => driver.alloc(bytes))
    this.#counters.set(id, [...known, made])
    driver.fill(made.address, 0, bytes, this.stream)
    return made.address
  }

  #state(id: string, bytes: number, shape: string): void {
    const known = this.#states.get(id)
    if (known) {
      invariant(known.bytes >= bytes, `state ${id} is [${shape}] in one program and smaller in another`)
      return
    }
    const { driver } = this.#options
    const memory = driver.during(`state ${id} [${shape}]`, () => driver.alloc(bytes))
    this.#states.set(id, memory)
    driver.fill(memory.address, 0, bytes, this.stream)
  }

  /** Where a state lies, and its size in bytes. */
  state(id: string): DeviceBuffer {
    const memory = this.#states.get(`%${id}`)
    invariant(memory, `there is no state ${id}`)
    return memory
  }

  [Symbol.dispose](): void {
    for (const executable of this.#executables.splice(0)) executable[Symbol.dispose]()
    for (const resource of [
      ...this.#states.values(),
      ...this.#arenas.splice(0),
      ...[...this.#counters.values()].flat(),
      this.#weights,
      ...this.#modules.splice(0),
      this.stream,
    ])
      resource?.[Symbol.dispose]()
    this.#states.clear()
    this.#counters.clear()
    this.#kernels.clear()
  }
}
