// The device under test, opened once for the whole suite, with a way to time every launch of a stretch of work.
import { findTarget, hostTarget } from '../../codegen/targets.ts'
import { createCompileService } from '../../runtime/compile-service.ts'
import { openKernelCache } from '../../runtime/kernel-cache.ts'
import { kernelCompiler } from '../../runtime/kernel-compiler.ts'
import type { Calls } from '../../runtime/platform/calls.ts'
import { type DeviceReport, openDriver, resolveDevice } from '../../runtime/platform/devices.ts'
import type { ComputeDevice } from '../../src/api/device.ts'

/** Time of the launches of one kernel in one shape. */
export interface KernelTime {
  /** `gemv`, as the kernel is called in its source */
  readonly kernel: string
  /** blocks × threads */
  readonly shape: string
  launches: number
  ms: number
}

export interface SuiteDevice extends ComputeDevice {
  readonly report: DeviceReport
  readonly launchTimer: LaunchTimer
}

export async function openSuiteDevice(spec: string): Promise<SuiteDevice> {
  const report = await resolveDevice(spec)
  const launchTimer = new LaunchTimer()
  const driver = await openDriver(report, { wrapCalls: (calls) => launchTimer.wrap(calls) })
  const service = createCompileService({ cache: openKernelCache() })
  return {
    kind: 'device',
    id: report.id,
    name: driver.properties.name,
    driver,
    target: report.platform === 'host' ? hostTarget() : findTarget(driver.properties.targetId),
    service,
    compiler: kernelCompiler(service),
    report,
    launchTimer,
    [Symbol.dispose]() {
      launchTimer[Symbol.dispose]()
      service[Symbol.dispose]()
      driver[Symbol.dispose]()
    },
  }
}

/** Stands between the driver and the library: records an event before and behind each launch while it is on. */
export class LaunchTimer implements Disposable {
  #calls: Calls | undefined
  #on = false
  #replays: number[] | undefined
  readonly #names = new Map<bigint, string>()
  readonly #events: bigint[] = []
  readonly #spans: { kernel: string; shape: string; stream: bigint; from: bigint; to: bigint }[] = []

  wrap(calls: Calls): Calls {
    this.#calls = calls
    return {
      ...calls,
      moduleFunction: (out, module, name) => {
        const code = calls.moduleFunction(out, module, name)
        if (code === 0) this.#names.set(out[0]!, name)
        return code
      },
      ...(calls.graphLaunch
        ? {
            graphLaunch: (exec, stream) => {
              if (!this.#replays) return calls.graphLaunch!(exec, stream)
              const start = performance.now()
              const code = calls.graphLaunch!(exec, stream)
              this.#replays.push(performance.now() - start)
              return code
            },
          }
        : {}),
      launch: (...args) => {
        if (!this.#on) return calls.launch(...args)
        const [fn, x, y, z, threads] = args
        const stream = args[8]
        const [from, to] = [this.#event(), this.#event()]
        calls.eventRecord(from, stream)
        const code = calls.launch(...args)
        calls.eventRecord(to, stream)
        const shape = `${x * y * z} × ${threads}`
        this.#spans.push({ kernel: this.#names.get(fn) ?? '?', shape, stream, from, to })
        return code
      },
    }
  }

  /** Device time of every launch inside `run`, which must end with an idle device; the costliest first. */
  async during(run: () => Promise<void>): Promise<KernelTime[]> {
    this.#on = true
    try {
      await run()
    } finally {
      this.#on = false
    }
    const times = new Map<string, KernelTime>()
    const elapsed = new Float32Array(2)
    for (const { kernel, shape, from, to } of this.#spans.splice(0)) {
      if (this.#calls!.eventElapsed(elapsed, from, to) !== 0) continue
      const key = `${kernel} ${shape}`
      const time = times.get(key) ?? { kernel, shape, launches: 0, ms: 0 }
      time.launches += 1
      time.ms += elapsed[0]!
      times.set(key, time)
      this.#events.push(from, to)
    }
    return [...times.values()].sort((a, b) => b.ms - a.ms)
  }

  /** Host time of every replay of a captured graph inside `run`, ms. */
  async replays(run: () => Promise<void>): Promise<number[]> {
    this.#replays = []
    try {
      await run()
      return this.#replays
    } finally {
      this.#replays = undefined
    }
  }

  #event(): bigint {
    const known = this.#events.pop()
    if (known !== undefined) return known
    const out = new BigUint64Array(new ArrayBuffer(8))
    this.#calls!.eventCreate(out, 0)
    return out[0]!
  }

  [Symbol.dispose](): void {
    for (const event of this.#events.splice(0)) this.#calls!.eventDestroy(event)
  }
}
