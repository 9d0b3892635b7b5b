// What stands between this machine and a first token: the checks of the platform layer, then compilers, the cache, and
// kernels that run on every device and are held to their references.
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { compileProgram } from '../../codegen/compile.ts'
import { catalogLimits, kernelCatalog, smallShape } from '../../codegen/kernels/catalog.ts'
import { findTarget } from '../../codegen/targets.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type Target, targetId } from '../../ir/target.ts'
import { makeFolder } from '../../runtime/cache/file-layer.ts'
import { type KernelCache, openKernelCache } from '../../runtime/cache/kernel-cache.ts'
import { compileJob } from '../../runtime/compile/kernel-compiler.ts'
import { type CompileService, createCompileService } from '../../runtime/compile/service.ts'
import { findToolchains } from '../../runtime/compile/toolchains.ts'
import { findHostCompiler } from '../../runtime/host/compiler.ts'
import { CheckProcess } from '../../runtime/inspect/check-process.ts'
import { checkedOn, checkKernels } from '../../runtime/inspect/self-check.ts'
import { type DeviceReport, type DeviceSurvey, openDriver, surveyDevices } from '../../runtime/platform/devices.ts'
import { type Check, platformChecks } from '../../runtime/platform/doctor.ts'
import type { Driver } from '../../runtime/platform/driver.ts'
import { checkable, checkEntries, entriesFor, targetOf } from './self-check.ts'

export type { Check } from '../../runtime/platform/doctor.ts'

interface DoctorReport {
  readonly checks: readonly Check[]
  readonly survey: DeviceSurvey
  /** the device that `--device auto` takes */
  readonly defaultDevice: string
  /** the default device compiles, runs, and computes what it should */
  readonly healthy: boolean
}

interface DoctorOptions {
  /** also check what the cache holds for each device; default true */
  readonly selfCheck?: boolean
  readonly survey?: DeviceSurvey
  readonly cache?: KernelCache
  /** ends the call, which rejects with the signal's reason */
  readonly signal?: AbortSignal
  /** each check as soon as it is known */
  readonly onCheck?: (check: Check) => void
}

/** Kernels that together use every part of a device: memory, LDS, barriers, waves, integers, halves, quantised blocks. */
const probes = [
  'add f32',
  'rms_norm f32',
  'gemv q8_0',
  'gemm f16',
  'scale_mask_softmax f32',
  'attention, one token, f16 cache',
  'rope_kv_append, f16 cache',
  'argmax f32',
]

/** What hipRTC and NVRTC are asked for where no device of theirs is. */
const defaultTarget = { amd: 'gfx1100', nvidia: 'sm_90' } as const

export async function examine(options: DoctorOptions = {}): Promise<DoctorReport> {
  const checks: Check[] = []
  const { signal } = options
  const add = (check: Check): Check => {
    signal?.throwIfAborted()
    checks.push(check)
    options.onCheck?.(check)
    return check
  }
  const survey = options.survey ?? (await surveyDevices({ askMemory: true }))
  for (const check of platformChecks({
    survey,
    nvrtcBrought: findToolchains().some(({ family }) => family === 'nvrtc'),
  }))
    add(check)
  for (const check of toolchains()) add(check)
  add(await hostCompiler())
  const cache = options.cache ?? openKernelCache()
  add(cacheFolder(cache))
  const service = createCompileService({ cache })
  const failed = new Set<string>()
  try {
    for (const platform of ['amd', 'nvidia'] as const) {
      if (survey.devices.some((device) => device.platform === platform)) continue
      const check = await compileProbe(service, platform)
      if (check) add(check)
    }
    for (const device of survey.devices) {
      const target = targetOf(device)
      if (!target && device.platform !== 'reference') {
        const fix = 'the checks above say what is missing'
        add({ id: `launch-${device.id}`, status: 'fail', detail: device.reason, fix })
      }
      if (!target) continue
      const { check, driver, probed } = await launchProbe(device, target, service, cache, signal)
      using _ = driver
      add(check)
      if (check.status !== 'ok') failed.add(device.id)
      else if (driver && (options.selfCheck ?? true)) {
        const cached = await cachedKernels(device, driver, target, cache, probed)
        if (cached) add(cached)
      }
    }
  } finally {
    service[Symbol.dispose]()
  }
  const chosen = survey.devices.find(({ use }) => use === 'default')?.id ?? 'host'
  const noCompiler = chosen === 'host' && checks.some(({ id, status }) => id === 'host-compiler' && status !== 'ok')
  const defaultDevice = noCompiler ? 'reference' : chosen
  const healthy = noCompiler || !failed.has(chosen)
  add({
    id: 'default-device',
    status: healthy ? (noCompiler ? 'warn' : 'ok') : 'fail',
    detail: healthy
      ? `${defaultDevice} is used unless --device names another${noCompiler ? ': exact and slow' : ''}`
      : `${chosen} would be used and does not work`,
    ...(healthy ? {} : { fix: 'see its check above; --device names another' }),
  })
  return { checks, survey, defaultDevice, healthy }
}

function toolchains(): Check[] {
  const found = findToolchains()
  return (['hiprtc', 'nvrtc'] as const).map((family): Check => {
    const of = found.filter((toolchain) => toolchain.family === family)
    const id = `${family}-toolchains`
    if (of.length > 0)
      return { id, status: 'ok', detail: of.map(({ version, origin }) => `${version} (${origin})`).join(', ') }
    const [name, gpus, argument] = family === 'hiprtc' ? ['hipRTC', 'AMD', '6.4'] : ['NVRTC', 'NVIDIA', 'nvrtc']
    const fix = `on Debian \`rocmforge toolchain ${argument}\` brings it, without installing anything`
    return { id, status: 'skip', detail: `no ${name}: nothing is compiled for ${gpus} GPUs; ${fix}` }
  })
}

async function hostCompiler(): Promise<Check> {
  const id = 'host-compiler'
  try {
    const { command, version } = await findHostCompiler()
    return { id, status: 'ok', detail: `${command} ${version}` }
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    return { id, status: 'warn', detail: error.summary, ...(error.help ? { fix: error.help } : {}) }
  }
}

function cacheFolder(cache: KernelCache): Check {
  const id = 'kernel-cache'
  const probe = join(cache.root, `.doctor-${process.pid}`)
  try {
    makeFolder(cache.root)
    writeFileSync(probe, 'x')
    rmSync(probe)
  } catch (error) {
    return {
      id,
      status: 'warn',
      detail: `cannot write ${cache.root} (${(error as NodeJS.ErrnoException).code ?? error}): kernels are compiled at every start`,
      fix: `let this user write ${existingAbove(cache.root)}, or name another folder in ROCMFORGE_CACHE_DIR`,
    }
  }
  const damaged = cache.verify().filter((row) => 'damage' in row).length
  const rows = cache.list()
  const size = rows.reduce((sum, { bytes }) => sum + bytes, 0)
  const detail = `${cache.root}: ${rows.length} kernels, ${(size / 2 ** 20).toFixed(1)} MiB`
  if (damaged === 0) return { id, status: 'ok', detail }
  return { id, status: 'warn', detail: `${detail}, ${damaged} damaged`, fix: 'rocmforge cache verify --remove' }
}

function existingAbove(folder: string): string {
  for (let at = folder; ; at = dirname(at)) {
    if (!existsSync(at)) continue
    try {
      accessSync(at, constants.W_OK)
      return folder
    } catch {
      return at
    }
  }
}

/** Compiles for a default target: shows that ahead-of-time builds work on a machine without the GPU. */
async function compileProbe(service: CompileService, platform: 'amd' | 'nvidia'): Promise<Check | undefined> {
  const family = platform === 'amd' ? 'hiprtc' : 'nvrtc'
  const toolchain = findToolchains().find((one) => one.family === family)
  if (!toolchain) return undefined
  const target = findTarget(defaultTarget[platform])
  const id = `${platform}-compile`
  try {
    await service.compileAll(jobsFor(target, probes.slice(0, 2)))
    return { id, status: 'ok', detail: `kernels compile for ${targetId(target)}, which is not here` }
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    return { id, status: 'warn', detail: error.summary, ...(error.help ? { fix: error.help } : {}) }
  }
}

const jobsFor = (target: Target, names: readonly string[]) =>
  kernelCatalog(smallShape)
    .filter(({ name }) => names.includes(name))
    .flatMap(({ graph }) => compileProgram(graph, { target, limits: catalogLimits }).kernels)
    .map((source) => compileJob(source, target))

interface Probe {
  readonly check: Check
  /** open, where the device could be opened */
  readonly driver?: Driver | undefined
  /** keys of the kernels that it ran */
  readonly probed: ReadonlySet<string>
}

/** Compiles for a device itself, launches, and compares. */
async function launchProbe(
  report: DeviceReport,
  target: Target,
  service: CompileService,
  cache: KernelCache,
  signal: AbortSignal | undefined,
): Promise<Probe> {
  const probed = new Set<string>()
  const id = `launch-${report.id}`
  let driver: Driver | undefined
  try {
    driver = await openDriver(report)
    const start = performance.now()
    const kernels = await service.compileAll(jobsFor(target, probes), signal ? { signal } : {})
    const compileMs = performance.now() - start
    for (const { key } of kernels) probed.add(key)
    using runner = new CheckProcess(driver)
    const device = { id: checkedOn(driver, target), target }
    const checked = await checkKernels(runner, device, kernels.map(checkable), { cache, again: true })
    const bad = checked.filter(({ outcome }) => outcome === 'failed')
    if (bad.length > 0) {
      const check: Check = {
        id,
        status: 'fail',
        detail: `${bad.length} of ${checked.length} kernels do not agree with their references: ${bad[0]!.kernel}: ${bad[0]!.detail}`,
        fix: `rocmforge cache clear --target ${target.name}, should an entry be at fault; else another release of the driver or of the compiler (ROCMFORGE_HIPRTC); please report it`,
      }
      return { check, driver, probed }
    }
    const detail = `${checked.length} kernels compile for ${targetId(target)} (${(compileMs / 1000).toFixed(1)} s) and agree with their references`
    return { check: { id, status: 'ok', detail }, driver, probed }
  } catch (error) {
    driver?.[Symbol.dispose]()
    if (!(error instanceof Diagnostic)) throw error
    const [first] = error.facts
    const check: Check = {
      id,
      status: 'fail',
      detail: `${error.summary}${first ? ` (${first.join(' ')})` : ''}`,
      ...(error.help ? { fix: error.help } : {}),
    }
    return { check, probed }
  }
}

/**
 * What else the cache holds for a device. A wrong kernel there is someone's experiment, or of a compiler that is gone: it is
 * named, and says nothing of the device.
 */
async function cachedKernels(
  report: DeviceReport,
  driver: Driver,
  target: Target,
  cache: KernelCache,
  probed: ReadonlySet<string>,
): Promise<Check | undefined> {
  const id = `cached-${report.id}`
  const entries = (await entriesFor(cache, target)).filter(({ key }) => !probed.has(key))
  if (entries.length === 0) return undefined
  const { checked, left } = await checkEntries(driver, target, cache, entries)
  const bad = checked.filter(({ outcome }) => outcome === 'failed')
  const skipped = checked.filter(({ outcome }) => outcome === 'skipped').length
  const more = [
    ...(skipped > 0 ? [`${skipped} could not be checked`] : []),
    ...(left > 0 ? [`${left} left for the next time`] : []),
  ].map((text) => `, ${text}`)
  if (bad.length === 0) {
    const passed = checked.length - skipped
    return { id, status: 'ok', detail: `${passed} kernels of the cache agree with their references${more.join('')}` }
  }
  const names = bad
    .slice(0, 4)
    .map(({ key, label, kernel, detail }) => `${key?.slice(0, 12)} (${label}, ${kernel}): ${detail}`)
  const shown = [...names, ...(bad.length > 4 ? [`${bad.length - 4} more`] : [])].join('; ')
  return {
    id,
    status: 'warn',
    detail: `${bad.length} of ${checked.length} kernels of the cache do not agree with their references${more.join('')}: ${shown}`,
    fix: 'rocmforge cache clear --failed',
  }
}
