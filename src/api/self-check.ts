// When kernels are checked on a device against their references: as they are loaded (`--self-check`), after a cache was
// imported, and by `rocmforge doctor`.
import type { KernelSpec } from '../../codegen/kernel.ts'
import { withOwnKernels } from '../../codegen/own-kernel.ts'
import type { KernelSite } from '../../codegen/program.ts'
import { findTarget } from '../../codegen/targets.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type Target, targetId } from '../../ir/target.ts'
import type { Entry, KernelCache } from '../../runtime/cache/kernel-cache.ts'
import type { KernelCompiler } from '../../runtime/compile/kernel-compiler.ts'
import type { CompiledKernel } from '../../runtime/compile/service.ts'
import { findHostCompiler } from '../../runtime/host/compiler.ts'
import { CheckProcess } from '../../runtime/inspect/check-process.ts'
import {
  type Checkable,
  type CheckedKernel,
  checkedOn,
  checkKernel,
  checkKernels,
  requirePassed,
} from '../../runtime/inspect/self-check.ts'
import { type DeviceReport, openDriver, surveyDevices } from '../../runtime/platform/devices.ts'
import type { Driver } from '../../runtime/platform/driver.ts'
import type { ComputeDevice } from './device.ts'

export const checkable = ({ job, key, keyInput, site, image, selfCheck }: CompiledKernel): Checkable => ({
  key,
  label: job.label,
  keyInput,
  site,
  image,
  selfCheck,
})

/**
 * What is done with kernels before they are loaded: checked where that was asked for, and in any case refused where an
 * earlier check on this device failed. Diagnostic `self-check-failed`.
 */
export function checkBeforeLoad(
  driver: Driver,
  target: Target,
  cache: KernelCache,
  { selfCheck }: { readonly selfCheck: boolean },
): (kernels: readonly CompiledKernel[]) => Promise<void> {
  let device: string | undefined
  return async (kernels) => {
    if (!selfCheck && kernels.every((kernel) => kernel.selfCheck?.outcome !== 'failed')) return
    device ??= checkedOn(driver, target)
    const failedBefore = (kernel: CompiledKernel) =>
      kernel.selfCheck?.outcome === 'failed' && kernel.selfCheck.device === device
    const chosen = selfCheck ? kernels : kernels.filter(failedBefore)
    using runner = new CheckProcess(driver)
    const checked = await checkKernels(runner, { id: device, target }, chosen.map(checkable), { cache })
    requirePassed(checked, driver.properties.name)
  }
}

/**
 * The device's compiler, which checks kernels alone against the references of their ops before they are loaded: all of them, or
 * those of a user's own, which the check of a device that was opened with `selfCheck` does not know. Their outcomes are not
 * remembered: the reference may be what is wrong. Diagnostic `self-check-failed`.
 */
export function checkingCompiler(
  { compiler, driver, target }: Pick<ComputeDevice, 'compiler' | 'driver' | 'target'>,
  kernels: readonly KernelSpec[],
  which: 'all' | 'own',
): KernelCompiler {
  const specs = withOwnKernels(kernels)
  const isOwn = (kernel: string) => kernels.some(({ name }) => name === kernel)
  return {
    async compile(sources, on, signal) {
      const images = await compiler.compile(sources, on, signal)
      const checked: CheckedKernel[] = []
      using runner = new CheckProcess(driver)
      for (const { id, template, site } of sources) {
        if (!site || (which === 'own' && !isOwn(site.kernel))) continue
        const outcome = await checkKernel(runner, target, images.get(id)!, site, specs).catch(takesNoRandomIndices)
        checked.push({ label: template, kernel: site.kernel, ...outcome, remembered: false })
      }
      const own = checked.filter(({ kernel }) => isOwn(kernel))
      requirePassed(own, driver.properties.name, 'compare the template with the reference of its op')
      requirePassed(checked, driver.properties.name)
      return images
    },
  }
}

/** Indices of a user's op may mean what no random number does. */
function takesNoRandomIndices(error: unknown): { outcome: 'skipped'; detail: string } {
  if (error instanceof Diagnostic && error.code === 'op-index') return { outcome: 'skipped', detail: error.summary }
  throw error
}

export interface DeviceChecks {
  /** `amd:0` */
  readonly device: string
  readonly checked: readonly CheckedKernel[]
  /** kernels that the time did not suffice for */
  readonly left: number
}

/** Entries of the cache that a device can load. Host code is loaded only where the same compiler would make it. */
export async function entriesFor(cache: KernelCache, target: Target): Promise<Entry[]> {
  const ids = new Set([targetId(target), target.name])
  const compiler = target.platform === 'host' ? (await findHostCompiler()).identity : undefined
  return cache.verify().flatMap((row) => {
    if (!('entry' in row) || !ids.has(row.entry.parts.target)) return []
    return compiler === undefined || row.entry.parts.compiler === compiler ? [row.entry] : []
  })
}

/** Checks entries on an open device until `timeMs` is over; those checked there before cost nothing. */
export async function checkEntries(
  driver: Driver,
  target: Target,
  cache: KernelCache,
  entries: readonly Entry[],
  { timeMs = 20_000 }: { readonly timeMs?: number } = {},
): Promise<Omit<DeviceChecks, 'device'>> {
  const start = performance.now()
  const checked: CheckedKernel[] = []
  using runner = new CheckProcess(driver)
  const device = { id: checkedOn(driver, target), target }
  for (const { key, label, parts, site, image, selfCheck } of entries) {
    if (performance.now() - start > timeMs) break
    const { schema: _, ...keyInput } = parts
    const use = site as KernelSite | undefined
    const kernel: Checkable = { key, label, keyInput, site: use, image, selfCheck }
    checked.push(...(await checkKernels(runner, device, [kernel], { cache })))
  }
  return { checked, left: entries.length - checked.length }
}

/** Checks the entries of a cache on every device of this machine that can load them. */
export async function checkOnDevices(cache: KernelCache, keys: ReadonlySet<string>): Promise<DeviceChecks[]> {
  const { devices } = await surveyDevices()
  const results: DeviceChecks[] = []
  for (const report of devices) {
    const target = targetOf(report)
    if (!target) continue
    const entries = (await entriesFor(cache, target)).filter(({ key }) => keys.has(key))
    if (entries.length === 0) continue
    using driver = await openDriver(report)
    results.push({ device: report.id, ...(await checkEntries(driver, target, cache, entries)) })
  }
  return results
}

/** The target of a device that can be opened. */
export function targetOf({ platform, properties, use }: DeviceReport): Target | undefined {
  if (platform === 'reference' || !properties || (use === 'skipped' && platform !== 'host')) return undefined
  return findTarget(platform === 'host' ? 'host' : properties.targetId)
}
