// The device under test, opened once for the whole suite, with a way to time every launch of a stretch of work.
import { findTarget, hostTarget } from '../../codegen/targets.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { kernelCompiler } from '../../runtime/compile/kernel-compiler.ts'
import { createCompileService } from '../../runtime/compile/service.ts'
import { type DeviceReport, openDriver, resolveDevice } from '../../runtime/platform/devices.ts'
import type { ComputeDevice } from '../../src/api/device.ts'
import { LaunchTimer } from '../../src/bench/launch-timer.ts'

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
    compilerWith: (events) => kernelCompiler(service, events),
    report,
    launchTimer,
    [Symbol.dispose]() {
      launchTimer[Symbol.dispose]()
      service[Symbol.dispose]()
      driver[Symbol.dispose]()
    },
  }
}

/** Device time of the launches inside `run`, which must end with an idle device; the costliest kernel first. */
export async function kernelTimes(timer: LaunchTimer, run: () => Promise<void>): Promise<KernelTime[]> {
  const times = new Map<string, KernelTime>()
  for (const { kernel, blocks, threads, ms } of await timer.launches(run)) {
    const shape = `${blocks} × ${threads}`
    const time = times.get(`${kernel} ${shape}`) ?? { kernel, shape, launches: 0, ms: 0 }
    time.launches += 1
    time.ms += ms
    times.set(`${kernel} ${shape}`, time)
  }
  return [...times.values()].sort((a, b) => b.ms - a.ms)
}
