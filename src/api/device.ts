// A device that is open for work: its driver, its target, a compile service with the kernel cache; or the reference
// executor, which needs none of them.
import { z } from 'zod'
import { findTarget, hostTarget } from '../../codegen/targets.ts'
import { Diagnostic, fail } from '../../ir/diagnostic.ts'
import { shown } from '../../ir/shown.ts'
import type { Target } from '../../ir/target.ts'
import { openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import type { KernelCompiler } from '../../runtime/compile/kernel-compiler.ts'
import { kernelCompiler } from '../../runtime/compile/kernel-compiler.ts'
import {
  type CompiledKernel,
  type CompileProgress,
  type CompileService,
  createCompileService,
} from '../../runtime/compile/service.ts'
import { type DeviceReport, openDriver, resolveDevice } from '../../runtime/platform/devices.ts'
import type { Driver, DriverOptions } from '../../runtime/platform/driver.ts'
import { at, callSite } from '../call-site.ts'
import { readOptions, saveTempsOption } from '../options.ts'
import { checkBeforeLoad } from './self-check.ts'

interface ReferenceDevice extends Disposable {
  readonly kind: 'reference'
  readonly id: string
  readonly name: string
  /** why nothing faster is used, where that was not the user's choice */
  readonly reason?: string
}

export interface ComputeDevice extends Disposable {
  readonly kind: 'device'
  /** `amd:0`, `host` */
  readonly id: string
  readonly name: string
  /** @internal */
  readonly driver: Driver
  readonly target: Target
  /** @internal */
  readonly service: CompileService
  /** @internal */
  readonly compiler: KernelCompiler
  /** the same compiler, for another who wants to hear of it */
  readonly compilerWith: (events: Pick<OpenDeviceOptions, 'onProgress' | 'onCompiled'>) => KernelCompiler
}

export type Device = ReferenceDevice | ComputeDevice

interface OpenDeviceOptions {
  readonly onProgress?: (progress: CompileProgress) => void
  readonly onCompiled?: (kernels: readonly CompiledKernel[]) => void
  readonly saveTemps?: string
  /** check each kernel once on the device against its reference before it is used */
  readonly selfCheck?: boolean
  /** @internal what `findDevice` gave for the same spec: its search goes on meanwhile */
  readonly found?: Promise<DeviceReport>
  /** @internal puts something between the driver and the runtime library: fault injection, a log */
  readonly wrapCalls?: DriverOptions['wrapCalls']
}

const emulatedWave = (spec: string) => /^host-wave(32|64)(?:-\w+)?$/.exec(spec)?.[1]

/** Looks for what `spec` names, in a child process where a GPU's runtime is asked; aborting ends that. */
export function findDevice(spec: string, signal?: AbortSignal): Promise<DeviceReport> {
  const found = resolveDevice(emulatedWave(spec) ? 'host' : spec, signal ? { signal } : {})
  found.catch(() => {}) // whoever opens it hears of that
  return found
}

/**
 * Opens what `spec` names: `auto`, `amd:0`, `nvidia:1`, `gfx1100`, `sm_90`, a UUID, `host`, `reference`; also `host-wave32` and
 * `host-wave64`, the CPU emulating blocks and waves of a GPU. `auto` on a machine with neither GPU nor C++ compiler gives
 * the reference executor and its reason; a device asked for by name is never replaced by another.
 */
export function openDevice(spec = 'auto', options: OpenDeviceOptions = {}): Promise<Device> {
  return at(callSite(openDevice), () => openChecked(spec, readOptions(deviceOptions, options) as OpenDeviceOptions))
}

/** Schema of OpenDeviceOptions; what tests alone use is not told. */
const given = z.custom<unknown>(() => true).optional()
const deviceOptions = z.strictObject({
  saveTemps: saveTempsOption,
  selfCheck: z.boolean().optional().describe('check each kernel once on the device against its reference'),
  onProgress: given.describe('called when a kernel comes from the compiler or the cache'),
  onCompiled: given.describe('called when a program’s kernels are there, before they are loaded'),
  found: given,
  wrapCalls: given,
})

async function openChecked(spec: string, options: OpenDeviceOptions): Promise<Device> {
  checkSpec(spec)
  const emulated = emulatedWave(spec)
  checkThreads(process.env['ROCMFORGE_THREADS'])
  const report = await (options.found ?? findDevice(spec))
  if (report.platform === 'reference') return referenceDevice()
  let driver: Driver
  try {
    driver = await openDriver(report, options.wrapCalls ? { wrapCalls: options.wrapCalls } : {})
  } catch (error) {
    const noCompiler = error instanceof Diagnostic && error.code === 'no-host-compiler'
    if (spec === 'auto' && noCompiler)
      return referenceDevice(`${report.reason ?? 'no GPU can be used'}, and ${error.summary}`)
    throw error
  }
  const target = emulated
    ? findTarget(spec)
    : report.platform === 'host'
      ? hostTarget()
      : findTarget(driver.properties.targetId)
  const cache = openKernelCache()
  const check = checkBeforeLoad(driver, target, cache, { selfCheck: options.selfCheck ?? false })
  const service = createCompileService({
    cache,
    ...(options.saveTemps ? { saveTemps: options.saveTemps } : {}),
  })
  const compilerWith: ComputeDevice['compilerWith'] = (events) =>
    kernelCompiler(service, {
      ...(events.onProgress ? { onProgress: events.onProgress } : {}),
      async onCompiled(kernels) {
        await check(kernels)
        events.onCompiled?.(kernels)
      },
    })
  return {
    kind: 'device',
    id: report.id,
    name: driver.properties.name,
    driver,
    target,
    service,
    compiler: compilerWith(options),
    compilerWith,
    [Symbol.dispose]() {
      service[Symbol.dispose]()
      driver[Symbol.dispose]()
    },
  }
}

/** Diagnostic `bad-argument`. */
function checkSpec(spec: unknown): void {
  if (typeof spec === 'string' && spec !== '') return
  fail({
    code: 'bad-argument',
    message: `device is ${spec === '' ? 'empty' : shown(spec)}`,
    facts: [['expected', 'auto, amd:0, nvidia:0, gfx1100, sm_90, a UUID, host or reference']],
    help: "openDevice('auto')",
  })
}

/** The host library reads the variable itself; what it would not understand is refused here. */
function checkThreads(text: string | undefined): void {
  if (text === undefined || text === '' || /^[1-9]\d{0,3}$/.test(text)) return
  fail({
    code: 'bad-setting',
    message: 'ROCMFORGE_THREADS must be a number of threads',
    facts: [
      ['expected', '1 to 9999'],
      ['got', text.slice(0, 60)],
    ],
    help: 'unset it for one thread a core',
  })
}

const referenceDevice = (reason?: string): ReferenceDevice => ({
  kind: 'reference',
  id: 'reference',
  name: 'reference executor',
  ...(reason ? { reason } : {}),
  [Symbol.dispose]() {},
})
