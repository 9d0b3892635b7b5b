// Streams, events and captured graphs: the order in which a device works, when it got there, and a recorded piece of it.
import { setTimeout as sleep } from 'node:timers/promises'
import { Diagnostic, invariant } from '../../ir/diagnostic.ts'
import { type DriverCore, status } from './core.ts'

/** A non-blocking stream: it does not wait for the default stream, nor the default stream for it. */
export class Stream implements Disposable {
  readonly handle: bigint
  readonly #core: DriverCore
  #open = true

  constructor(core: DriverCore) {
    core.use()
    core.check(core.calls.streamCreate(core.out, 1), 'streamCreate')
    this.#core = core
    this.handle = core.out[0]!
    core.live.stream += 1
  }

  /** Blocks this thread until everything enqueued has run. */
  synchronize(): void {
    this.#core.use()
    this.#core.check(this.#core.calls.streamSynchronize(this.handle), 'streamSynchronize')
  }

  /**
   * As `synchronize`, while the event loop goes on: the wait happens on a pool thread (about 0.1 ms to come back).
   * An idle stream costs one query.
   */
  async synchronizeAsync(): Promise<void> {
    const core = this.#core
    const { streamSynchronizeAsync } = core.bound
    if (this.idle) return
    core.check(await waitAsync(core, streamSynchronizeAsync, core.calls.streamQuery, this.handle), 'streamSynchronize')
  }

  /** Has everything enqueued run? Never blocks. */
  get idle(): boolean {
    this.#core.use()
    const code = this.#core.calls.streamQuery(this.handle)
    if (code === status.notReady) return false
    this.#core.check(code, 'streamQuery')
    return true
  }

  /** Later work on this stream waits for `event`. */
  waitFor(event: TimingEvent): void {
    this.#core.use()
    this.#core.check(this.#core.calls.streamWaitEvent(this.handle, event.handle, 0), 'streamWaitEvent')
  }

  /**
   * Records what `enqueue` puts on this stream, without running it. Inside, nothing may allocate, load a module,
   * synchronise or copy synchronously. A runtime that refuses gives a Diagnostic `graph-capture`, and the stream is
   * usable again: plain launches do the same work.
   */
  capture(enqueue: () => void): Graph {
    const core = this.#core
    const { captureBegin, captureEnd, graphInstantiate, graphDestroy } = core.calls
    invariant(
      captureBegin && captureEnd && graphInstantiate && graphDestroy,
      'capture asked of a driver without graphs',
    )
    core.use()
    const refuse = (cause: unknown): never => {
      const facts = cause instanceof Diagnostic ? [['cause', cause.summary] as const, ...cause.facts] : []
      throw new Diagnostic(
        {
          code: 'graph-capture',
          message: `${core.deviceName} could not capture the step as a graph`,
          facts,
          help: 'turn graph capture off: plain launches do the same work',
        },
        { cause },
      )
    }
    const captureModeThread = 1
    try {
      core.check(captureBegin(this.handle, captureModeThread), 'captureBegin')
    } catch (error) {
      refuse(error)
    }
    let graph = 0n
    try {
      enqueue()
    } catch (error) {
      if (captureEnd(this.handle, core.out) === 0 && core.out[0]) graphDestroy(core.out[0]!)
      throw error
    }
    try {
      core.check(captureEnd(this.handle, core.out), 'captureEnd')
      graph = core.out[0]!
      core.check(graphInstantiate(core.out, graph), 'graphInstantiate')
      return new Graph(core, core.out[0]!)
    } catch (error) {
      return refuse(error)
    } finally {
      if (graph !== 0n) graphDestroy(graph)
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#core.release('stream', 'streamDestroy', (calls) => calls.streamDestroy(this.handle))
  }
}

/**
 * Waits on a pool thread (about 0.1 ms to come back), unless there is nothing to wait for. That thread has no current
 * context; a runtime that insists on one is polled from this thread.
 */
async function waitAsync(
  core: DriverCore,
  wait: (handle: bigint) => Promise<number>,
  query: (handle: bigint) => number,
  handle: bigint,
): Promise<number> {
  core.use()
  const first = query(handle)
  if (first !== status.notReady) return first
  const code = await wait(handle)
  if (code !== status.invalidContext) return code
  for (let pause = 0; ; pause = Math.min(pause + 0.1, 2)) {
    core.use()
    const now = query(handle)
    if (now !== status.notReady) return now
    await sleep(pause)
  }
}

/** A captured and instantiated piece of work. Never updated: changing values live in device buffers. */
export class Graph implements Disposable {
  readonly #core: DriverCore
  readonly #exec: bigint
  #open = true
  readonly label = 'replay of a captured graph'

  constructor(core: DriverCore, exec: bigint) {
    this.#core = core
    this.#exec = exec
    core.live.graph += 1
  }

  /** Enqueues the whole graph on a stream. */
  launch(stream: Stream): void {
    const core = this.#core
    core.use()
    core.lastLaunch = this
    const code = core.calls.graphLaunch!(this.#exec, stream.handle)
    if (code !== 0) core.failed(code, 'graphLaunch', [], this)
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#core.release('graph', 'graphExecDestroy', (calls) => calls.graphExecDestroy!(this.#exec))
  }
}

/** A point in a stream's order, with the device's clock at it. */
export class TimingEvent implements Disposable {
  readonly handle: bigint
  readonly #core: DriverCore
  readonly #milliseconds = new Float32Array(new ArrayBuffer(8))
  #open = true

  /** `timing: false` makes a cheaper event that only orders work */
  constructor(core: DriverCore, options: { timing?: boolean } = {}) {
    core.use()
    const disableTiming = 2
    core.check(core.calls.eventCreate(core.out, options.timing === false ? disableTiming : 0), 'eventCreate')
    this.#core = core
    this.handle = core.out[0]!
    core.live.event += 1
  }

  record(stream: Stream): void {
    this.#core.use()
    this.#core.check(this.#core.calls.eventRecord(this.handle, stream.handle), 'eventRecord')
  }

  /** Blocks until the stream has reached this event. */
  synchronize(): void {
    this.#core.use()
    this.#core.check(this.#core.calls.eventSynchronize(this.handle), 'eventSynchronize')
  }

  /** As `synchronize`, while the event loop goes on. */
  async synchronizeAsync(): Promise<void> {
    const core = this.#core
    const { eventSynchronizeAsync } = core.bound
    core.check(await waitAsync(core, eventSynchronizeAsync, core.calls.eventQuery, this.handle), 'eventSynchronize')
  }

  /** Has the stream reached this event? */
  get reached(): boolean {
    this.#core.use()
    const code = this.#core.calls.eventQuery(this.handle)
    if (code === status.notReady) return false
    this.#core.check(code, 'eventQuery')
    return true
  }

  /** Device time from `start` to this event, in milliseconds; both must have been reached. */
  millisecondsSince(start: TimingEvent): number {
    this.#core.use()
    this.#core.check(this.#core.calls.eventElapsed(this.#milliseconds, start.handle, this.handle), 'eventElapsed')
    return this.#milliseconds[0]!
  }

  [Symbol.dispose](): void {
    if (!this.#open) return
    this.#open = false
    this.#core.release('event', 'eventDestroy', (calls) => calls.eventDestroy(this.handle))
  }
}
