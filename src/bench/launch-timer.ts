// LaunchTimer: stands between the driver and the runtime library and puts events into the stream: behind each step, or on
// either side of every launch. A captured graph is then run launch by launch, as it was captured.
import type { Calls } from '../../runtime/platform/calls.ts'

/** Device time of one launch. */
export interface LaunchSpan {
  /** as the kernel is called in its source */
  readonly kernel: string
  readonly blocks: number
  readonly threads: number
  readonly ms: number
}

interface StepTimes {
  /** between the ends of consecutive steps, by the device's clock */
  readonly deviceMs: readonly number[]
  /** when the call that enqueues each step came back, by performance.now() */
  readonly enqueuedAt: readonly number[]
  /** how long that call took, on the host */
  readonly callMs: readonly number[]
}

/** Memory that is written before a graph is run launch by launch: meanwhile the host enqueues, and never is the slower one. */
export interface FillDelay {
  readonly address: bigint
  readonly bytes: number
  readonly times: number
}

type Launch = (...args: Parameters<Calls['launch']>) => number

export class LaunchTimer implements Disposable {
  #calls: Calls | undefined
  readonly #names = new Map<bigint, string>()
  /** what was enqueued between captureBegin and captureEnd, by the graph and then by what it was instantiated as */
  readonly #captured = new Map<bigint, (() => number)[]>()
  #capturing: (() => number)[] | undefined
  readonly #free: bigint[] = []
  #marks: bigint[] | undefined
  #enqueued: number[] = []
  #callMs: number[] = []
  /** plain launches are steps too, where a step is one launch */
  #everyLaunch = false
  #delay: FillDelay | undefined
  #spans: { kernel: string; blocks: number; threads: number; from: bigint; to: bigint }[] | undefined

  /** For `DriverOptions.wrapCalls`. */
  wrap(calls: Calls): Calls {
    this.#calls = calls
    const { graphLaunch, captureBegin, captureEnd, graphInstantiate, graphExecDestroy } = calls
    const { launchCooperative, launchEarly } = calls
    const recorded =
      <A extends unknown[]>(call: (...args: A) => number) =>
      (...args: A): number => {
        this.#capturing?.push(() => call(...args))
        return call(...args)
      }
    return {
      ...calls,
      copyToHostAsync: recorded(calls.copyToHostAsync),
      copyToDeviceAsync: recorded(calls.copyToDeviceAsync),
      copyOnDeviceAsync: recorded(calls.copyOnDeviceAsync),
      fill8Async: recorded(calls.fill8Async),
      fill32Async: recorded(calls.fill32Async),
      moduleFunction: (out, module, name) => {
        const code = calls.moduleFunction(out, module, name)
        if (code === 0) this.#names.set(out[0]!, name)
        return code
      },
      launch: (...args) => this.#launch(calls.launch, args, this.#everyLaunch),
      ...(launchCooperative
        ? {
            launchCooperative: (...args) =>
              this.#launch((...all) => launchCooperative(...dropLast(all)), [...args, null], true),
          }
        : {}),
      ...(launchEarly
        ? {
            launchEarly: (...args) =>
              this.#launch((...all) => launchEarly(...dropLast(all)), [...args, null], this.#everyLaunch),
          }
        : {}),
      ...(captureBegin && captureEnd && graphInstantiate && graphLaunch && graphExecDestroy
        ? {
            captureBegin: (stream, mode) => {
              this.#capturing = []
              return captureBegin(stream, mode)
            },
            captureEnd: (stream, graph) => {
              const code = captureEnd(stream, graph)
              if (code === 0) this.#captured.set(graph[0]!, this.#capturing ?? [])
              this.#capturing = undefined
              return code
            },
            graphInstantiate: (exec, graph) => {
              const code = graphInstantiate(exec, graph)
              const captured = this.#captured.get(graph)
              this.#captured.delete(graph)
              if (code === 0 && captured) this.#captured.set(exec[0]!, captured)
              return code
            },
            graphLaunch: (exec, stream) => {
              const began = performance.now()
              const captured = this.#spans && this.#captured.get(exec)
              const code = captured ? this.#unrolled(captured, stream) : graphLaunch(exec, stream)
              this.#mark(stream, began)
              return code
            },
            graphExecDestroy: (exec) => {
              this.#captured.delete(exec)
              return graphExecDestroy(exec)
            },
          }
        : {}),
    }
  }

  #launch(launch: Launch, args: Parameters<Calls['launch']>, isStep: boolean): number {
    const stream = args[8]
    if (this.#capturing) {
      this.#capturing.push(() => this.#timed(launch, args))
      return launch(...args)
    }
    const began = performance.now()
    const code = this.#timed(launch, args)
    if (isStep) this.#mark(stream, began)
    return code
  }

  #timed(launch: Launch, args: Parameters<Calls['launch']>): number {
    if (!this.#spans) return launch(...args)
    const [fn, x, y, z, threads] = args
    const [from, to] = [this.#event(), this.#event()]
    this.#calls!.eventRecord(from, args[8])
    const code = launch(...args)
    this.#calls!.eventRecord(to, args[8])
    this.#spans.push({ kernel: this.#names.get(fn) ?? '?', blocks: x * y * z, threads, from, to })
    return code
  }

  #unrolled(captured: readonly (() => number)[], stream: bigint): number {
    const { address, bytes, times } = this.#delay ?? { address: 0n, bytes: 0, times: 0 }
    for (let i = 0; i < times; i++) this.#calls!.fill8Async(address, 0, bytes, stream)
    for (const call of captured) {
      const code = call()
      if (code !== 0) return code
    }
    return 0
  }

  /** Behind a step, whose call began at `began`. */
  #mark(stream: bigint, began: number): void {
    if (!this.#marks) return
    const now = performance.now()
    this.#enqueued.push(now)
    this.#callMs.push(now - began)
    const event = this.#event()
    this.#calls!.eventRecord(event, stream)
    this.#marks.push(event)
  }

  /**
   * The steps inside `run`, which must end with all of them reached. A step is a replayed graph or a cooperative launch; with
   * `everyLaunch` any launch. None where steps are many plain launches.
   */
  async steps(run: () => Promise<void>, { everyLaunch = false } = {}): Promise<StepTimes> {
    this.#marks = []
    this.#enqueued = []
    this.#callMs = []
    this.#everyLaunch = everyLaunch
    try {
      await run()
      const times: number[] = []
      for (let i = 1; i < this.#marks.length; i++) times.push(this.#between(this.#marks[i - 1]!, this.#marks[i]!))
      return { deviceMs: times, enqueuedAt: this.#enqueued, callMs: this.#callMs }
    } finally {
      this.#free.push(...this.#marks)
      this.#marks = undefined
    }
  }

  /** Device time of every launch inside `run`, in order; `run` must end with an idle stream. */
  async launches(run: () => Promise<void>, delay?: FillDelay): Promise<LaunchSpan[]> {
    this.#spans = []
    this.#delay = delay
    try {
      await run()
      return this.#spans.map(({ from, to, ...span }) => ({ ...span, ms: this.#between(from, to) }))
    } finally {
      this.#free.push(...this.#spans.flatMap(({ from, to }) => [from, to]))
      this.#spans = undefined
      this.#delay = undefined
    }
  }

  #between(from: bigint, to: bigint): number {
    const elapsed = new Float32Array(2)
    this.#calls!.eventElapsed(elapsed, from, to)
    return elapsed[0]!
  }

  #event(): bigint {
    const known = this.#free.pop()
    if (known !== undefined) return known
    const out = new BigUint64Array(new ArrayBuffer(8))
    this.#calls!.eventCreate(out, 0)
    return out[0]!
  }

  /** Before the driver is closed. */
  [Symbol.dispose](): void {
    for (const event of this.#free.splice(0)) this.#calls?.eventDestroy(event)
  }
}

const dropLast = (args: Parameters<Calls['launch']>): Parameters<NonNullable<Calls['launchCooperative']>> =>
  args.slice(0, 10) as Parameters<NonNullable<Calls['launchCooperative']>>
