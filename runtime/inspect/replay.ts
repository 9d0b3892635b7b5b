// Runs a replay bundle on a device and compares what every launch left behind.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { hostTarget } from '../../codegen/targets.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { HostData } from '../../ir/host-tensor.ts'
import type { Target } from '../../ir/target.ts'
import { targetId } from '../../ir/target.ts'
import { decodeTensor } from '../../ir/tensor-bytes.ts'
import type { CompileService } from '../compile/service.ts'
import type { DeviceBuffer, Driver, KernelArg, Module } from '../platform/driver.ts'
import { manifestName, type Replay, type ReplayExpected, type ReplayFile, replaySchema } from './replay-format.ts'

/** Reads and checks the manifest; a Diagnostic names the file and what is wrong. */
export function readReplay(folder: string): Replay {
  const path = join(folder, manifestName)
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    return fail(
      {
        code: 'bad-replay',
        message: 'the folder holds no readable replay bundle',
        facts: [
          ['file', path],
          ['cause', error instanceof Error ? error.message : String(error)],
        ],
        help: '`rocmforge record` writes one',
      },
      error,
    )
  }
  const parsed = replaySchema.safeParse(json)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]!
  return fail({
    code: 'bad-replay',
    message: 'the replay bundle is not of a form this version reads',
    facts: [
      ['file', path],
      ['key', issue.path.join('.')],
      ['problem', issue.message],
    ],
  })
}

/** The bytes of a file of the bundle, verified. */
function readReplayFile(folder: string, file: ReplayFile): Uint8Array {
  const path = join(folder, file.path)
  let bytes: Uint8Array
  try {
    bytes = readFileSync(path)
  } catch (error) {
    return fail(
      { code: 'bad-replay', message: 'a file of the replay bundle cannot be read', facts: [['file', path]] },
      error,
    )
  }
  const hash = createHash('sha256').update(bytes).digest('hex')
  if (hash !== file.sha256 || bytes.length !== file.bytes)
    fail({
      code: 'bad-replay',
      message: 'a file of the replay bundle is damaged',
      facts: [
        ['file', path],
        ['expected', file.sha256],
        ['got', hash],
      ],
      help: 'record the bundle again',
    })
  return bytes
}

/** How far one expected buffer was missed, in units of its tolerance: up to 1 is right. */
interface ReplayFinding {
  readonly step: string
  readonly label: string
  readonly buffer: string
  readonly error: number
  /** index of the worst element, what it is and what it should be */
  readonly at: number
  readonly got: number
  readonly expected: number
}

interface ReplayReport {
  readonly target: string
  /** as the bundle has them, or compiled again from its sources */
  readonly code: 'bundle' | 'compiled'
  readonly launches: number
  readonly compared: number
  readonly worst: number
  /** launches that missed their tolerance, in order */
  readonly findings: readonly ReplayFinding[]
}

interface ReplayOptions {
  readonly driver: Driver
  readonly target: Target
  readonly service: CompileService
  /** give every launch the expected contents of what earlier launches wrote, so that errors do not travel */
  readonly isolated?: boolean
  readonly onLaunch?: (done: number, total: number) => void
  readonly signal?: AbortSignal
}

/** Replays a bundle. A device of another target compiles the sources anew; on the host they run under emulation. */
export async function replayBundle(folder: string, options: ReplayOptions): Promise<ReplayReport> {
  const replay = readReplay(folder)
  const { driver } = options
  const target = driver.platform === 'host' ? hostTarget({ mode: 'emulate', wave: replay.wave }) : options.target
  const useOwn = targetId(target) === replay.target
  if (!useOwn && target.wave !== replay.wave) {
    fail({
      code: 'replay-target',
      message: `the bundle is made for waves of ${replay.wave}, ${targetId(target)} has waves of ${target.wave}`,
      facts: [['bundle', replay.target]],
      help: 'replay it with --device host',
    })
  }
  const images = useOwn
    ? replay.kernels.map(({ codeObject }) => readReplayFile(folder, codeObject))
    : await compileSources(folder, replay, target, options)
  const run = new ReplayRun(folder, replay, images, options)
  using _ = run
  const findings: ReplayFinding[] = []
  let [launches, compared, worst] = [0, 0, 0]
  const total = replay.steps.reduce((n, step) => n + step.launches.length, 0)
  for (const step of replay.steps) {
    run.write(step.writes)
    for (const launch of step.launches) {
      options.signal?.throwIfAborted()
      run.launch(launch)
      launches++
      for (const expected of launch.expected) {
        const finding = { step: step.name, label: launch.label, ...run.compare(expected) }
        compared++
        worst = Math.max(worst, finding.error)
        if (!(finding.error <= 1)) findings.push(finding)
        if (options.isolated) run.set(expected)
      }
      options.onLaunch?.(launches, total)
    }
  }
  return { target: targetId(target), code: useOwn ? 'bundle' : 'compiled', launches, compared, worst, findings }
}

async function compileSources(
  folder: string,
  replay: Replay,
  target: Target,
  { service, signal }: ReplayOptions,
): Promise<Uint8Array[]> {
  const jobs = replay.kernels.map(({ template, entries, source, defines }) => {
    const text = new TextDecoder().decode(readReplayFile(folder, source))
    return { source: text, kernels: entries, target, label: template, defines }
  })
  return (await service.compileAll(jobs, signal ? { signal } : {})).map(({ image }) => image)
}

class ReplayRun implements Disposable {
  readonly #folder: string
  readonly #driver: Driver
  readonly #stream
  readonly #buffers = new Map<string, DeviceBuffer>()
  readonly #modules: Module[] = []

  constructor(folder: string, replay: Replay, images: readonly Uint8Array[], { driver }: ReplayOptions) {
    this.#folder = folder
    this.#driver = driver
    this.#stream = driver.createStream()
    try {
      for (const image of images) this.#modules.push(driver.loadModule(image))
      for (const { id, bytes, before } of replay.buffers) {
        const buffer = driver.during(`buffer ${id}`, () => driver.alloc(bytes))
        this.#buffers.set(id, buffer)
        if (before) driver.copyToDevice(buffer.address, readReplayFile(folder, before))
        else driver.fill(buffer.address, 0, bytes)
      }
      driver.synchronize()
    } catch (error) {
      this[Symbol.dispose]()
      throw error
    }
  }

  #address({ buffer, offset }: { buffer: string; offset: number }): bigint {
    const memory = this.#buffers.get(buffer)
    if (!memory || offset >= Math.max(1, memory.bytes))
      return fail({
        code: 'bad-replay',
        message: `the bundle names ${buffer} + ${offset}, which it does not hold`,
        facts: [['folder', this.#folder]],
      })
    return memory.address + BigInt(offset)
  }

  write(writes: Replay['steps'][number]['writes']): void {
    for (const { values, ...place } of writes)
      this.#driver.copyToDevice(this.#address(place), readReplayFile(this.#folder, values))
  }

  set({ values, ...place }: ReplayExpected): void {
    this.#driver.copyToDevice(this.#address(place), readReplayFile(this.#folder, values))
  }

  launch(launch: Replay['steps'][number]['launches'][number]): void {
    const module = this.#modules[launch.kernel]
    if (!module)
      fail({
        code: 'bad-replay',
        message: `the bundle has no kernel ${launch.kernel}`,
        facts: [['folder', this.#folder]],
      })
    const args = launch.args.map((arg): KernelArg => {
      if (arg.kind === 'i32') return { kind: 'i32', value: arg.value }
      return { kind: 'pointer', address: arg.kind === 'null' ? 0n : this.#address(arg) }
    })
    const { grid, block, ldsBytes, label } = launch
    this.#driver
      .prepareLaunch({ fn: module.kernel(launch.entry), grid, block, ldsBytes, args, label })
      .enqueue(this.#stream)
    this.#stream.synchronize()
  }

  compare({ dtype, shape, values, tolerance, ...place }: ReplayExpected): Omit<ReplayFinding, 'step' | 'label'> {
    const want = readReplayFile(this.#folder, values)
    const bytes = new Uint8Array(want.length)
    this.#driver.copyToHost(bytes, this.#address(place))
    const [got, expected] = [decodeTensor(dtype, shape, bytes).data, decodeTensor(dtype, shape, want).data]
    return { buffer: place.buffer, ...worstOf(got, expected, tolerance) }
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#buffers.values()) buffer[Symbol.dispose]()
    for (const module of this.#modules) module[Symbol.dispose]()
    this.#stream[Symbol.dispose]()
  }
}

function worstOf(got: HostData, expected: HostData, tolerance: { relative: number; absolute: number }) {
  let worst = { error: 0, at: 0, got: got[0] ?? 0, expected: expected[0] ?? 0 }
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [got[i]!, expected[i]!]
    if (Object.is(a, b) || a === b) continue
    const allowed = tolerance.absolute + tolerance.relative * Math.abs(b)
    const error = Number.isNaN(a) || Number.isNaN(b) ? Number.POSITIVE_INFINITY : Math.abs(a - b) / allowed
    if (error > worst.error) worst = { error, at: i, got: a, expected: b }
  }
  return worst
}
