// All devices of all platforms, why each is used or passed over, and the choice of one. GPU runtimes are asked in
// child processes; where neither HIP nor CUDA is on disk nothing is started at all.
import { existsSync } from 'node:fs'
import { match, P } from 'ts-pattern'
import { findTarget } from '../../codegen/targets.ts'
import { Diagnostic, type Fact, fail, invariant } from '../../ir/diagnostic.ts'
import { type Candidate, findCudaDriver, findHip, findNvrtc } from './discovery.ts'
import type { DriverOptions } from './driver.ts'
import { type FileView, systemFiles } from './file-view.ts'
import type { ProbeAnswer } from './probe-answer.ts'
import { type DeviceProperties, hostProperties } from './properties.ts'
import { type ProbeOptions, runProbe } from './run-probe.ts'

type DevicePlatform = 'amd' | 'nvidia' | 'host' | 'reference'

export interface DeviceReport {
  /** what `--device` takes: `amd:0`, `nvidia:1`, `host`, `reference` */
  readonly id: string
  readonly platform: DevicePlatform
  /** undefined for the reference executor, which is no device */
  readonly properties?: DeviceProperties
  /** the runtime library that sees it */
  readonly library?: string
  /** free memory in bytes, where it was asked for */
  readonly freeBytes?: number
  /** what `--device auto` would do with it */
  readonly use: 'default' | 'candidate' | 'skipped'
  readonly reason: string
}

export interface PlatformReport {
  readonly platform: 'amd' | 'nvidia'
  readonly status: 'ok' | 'absent' | 'no-device' | 'failed'
  /** one line for people */
  readonly detail: string
  readonly library?: string
  /** as the runtime counts: HIP 60443484 = 6.4.43484, CUDA 13000 = 13.0 */
  readonly runtimeVersion?: number
  readonly driverVersion?: number
  /** every library file looked at */
  readonly tried: readonly Candidate[]
}

export interface DeviceSurvey {
  /** best first: discrete before integrated, amd before nvidia, then host and reference */
  readonly devices: readonly DeviceReport[]
  readonly platforms: readonly PlatformReport[]
}

interface SurveyOptions {
  /** default both */
  readonly platforms?: readonly ('amd' | 'nvidia')[]
  /** do not start a runtime on a machine without its kernel driver: what `auto` does */
  readonly quick?: boolean
  /** ask for free memory: takes a context on every GPU */
  readonly askMemory?: boolean
  readonly timeoutMs?: number
  /** ends the search: what was not answered counts as failed */
  readonly signal?: AbortSignal
  /** a runtime has not answered after 3 s */
  readonly onSlow?: (message: string) => void
  readonly files?: FileView
  /** stands in for the child process in tests */
  readonly probe?: (options: ProbeOptions) => Promise<ProbeAnswer>
}

const vendor = { amd: 'AMD', nvidia: 'NVIDIA' } as const
const runtimeName = { amd: 'HIP runtime (libamdhip64)', nvidia: 'CUDA driver (libcuda)' } as const

/** the kernel's side of a driver; /dev/dxg is WSL's for both */
const driverNodes = {
  amd: ['/dev/kfd', '/dev/dxg'],
  nvidia: ['/dev/nvidiactl', '/dev/dxg', '/dev/nvhost-ctrl'],
} as const

interface PlatformSurvey {
  readonly report: PlatformReport
  readonly devices: readonly DeviceReport[]
}

async function surveyPlatform(
  platform: 'amd' | 'nvidia',
  files: FileView,
  options: SurveyOptions,
): Promise<PlatformSurvey> {
  const hip = platform === 'amd' ? findHip(files) : undefined
  const search = hip ? { found: hip.found?.runtime, tried: hip.tried } : findCudaDriver(files)
  const { tried } = search
  const library = search.found?.path
  const report = (status: PlatformReport['status'], detail: string): PlatformSurvey => ({
    report: { platform, status, detail, tried, ...(library ? { library } : {}) },
    devices: [],
  })
  if (!library) return report('absent', hip?.problem ?? `no ${runtimeName[platform]} found`)
  if (options.quick && files.os === 'linux' && !driverNodes[platform].some((node) => existsSync(node))) {
    return report('no-device', `no ${vendor[platform]} GPU: ${driverNodes[platform][0]} does not exist`)
  }
  const answer = await (options.probe ?? runProbe)({
    platform,
    library,
    askMemory: options.askMemory ?? false,
    ...(options.timeoutMs ? { timeoutMs: options.timeoutMs } : {}),
    ...(options.signal ? { signal: options.signal } : {}),
    onSlow: () => options.onSlow?.(`still waiting for the ${runtimeName[platform]} to say which GPUs there are`),
  })
  if (answer.status === 'no-device') return report('no-device', `no ${vendor[platform]} GPU: ${answer.detail}`)
  if (answer.status === 'failed') return report('failed', `${runtimeName[platform]}: ${answer.detail}`)

  const compilerMissing = platform === 'amd' ? missingHipRtc(hip) : missingNvrtc(files)
  const devices = answer.devices.map(({ properties, freeBytes }): DeviceReport => {
    const skip = unknownTarget(properties) ?? compilerMissing
    return {
      id: `${platform}:${properties.ordinal}`,
      platform,
      properties,
      library,
      ...(freeBytes === undefined ? {} : { freeBytes }),
      use: skip ? 'skipped' : 'candidate',
      reason: skip ?? '',
    }
  })
  const count = `${devices.length} ${vendor[platform]} GPU${devices.length === 1 ? '' : 's'}`
  return {
    report: {
      platform,
      status: 'ok',
      detail: [count, ...answer.failures].join('; '),
      library,
      runtimeVersion: answer.runtimeVersion,
      driverVersion: answer.driverVersion,
      tried,
    },
    devices,
  }
}

const missingHipRtc = (hip: ReturnType<typeof findHip> | undefined): string | undefined =>
  hip?.found?.compiler ? undefined : `no run-time compiler: ${hip?.problem ?? 'hipRTC was not found'}`

const missingNvrtc = (files: FileView): string | undefined =>
  findNvrtc(files).found
    ? undefined
    : 'no run-time compiler: NVRTC (libnvrtc) was not found; its folder goes in ROCMFORGE_CUDA_PATH'

function unknownTarget({ targetId }: DeviceProperties): string | undefined {
  try {
    findTarget(targetId)
    return undefined
  } catch (error) {
    if (error instanceof Diagnostic) return error.summary
    throw error
  }
}

/** What can be used on this machine. Never rejects because of a GPU runtime: its trouble is a line in `platforms`. */
export async function surveyDevices(options: SurveyOptions = {}): Promise<DeviceSurvey> {
  const files = options.files ?? systemFiles()
  const wanted = options.platforms ?? ['amd', 'nvidia']
  const surveys = await Promise.all(wanted.map((platform) => surveyPlatform(platform, files, options)))
  const gpus = surveys.flatMap(({ devices }) => devices).sort((a, b) => rank(a) - rank(b))
  const candidates = gpus.filter(({ use }) => use === 'candidate')
  const first = candidates[0]
  const judged = gpus.map((device): DeviceReport => {
    if (device.use === 'skipped') return device
    if (device === first) return { ...device, use: 'default', reason: 'used by default' }
    const integrated = device.properties!.integrated && !first!.properties!.integrated
    return { ...device, reason: `${integrated ? 'integrated; ' : ''}${first!.id} is preferred` }
  })
  const host: DeviceReport = {
    id: 'host',
    platform: 'host',
    properties: hostProperties(),
    freeBytes: process.availableMemory(),
    use: first ? 'candidate' : 'default',
    reason: first ? `the CPU; ${first.id} is preferred` : 'used by default: no GPU can be used',
  }
  const reference: DeviceReport = {
    id: 'reference',
    platform: 'reference',
    use: 'skipped',
    reason: 'the reference executor: exact and slow, used when asked for',
  }
  return { devices: [...judged, host, reference], platforms: surveys.map(({ report }) => report) }
}

/** Discrete before integrated; amd before nvidia; then as the runtime counts. */
const rank = ({ platform, properties }: DeviceReport): number =>
  (properties!.integrated ? 1000 : 0) + (platform === 'amd' ? 0 : 100) + properties!.ordinal

/** One line a device, as errors and `rocmforge devices` list them. */
function describeDevice({ id, properties, reason }: DeviceReport): string {
  const what =
    properties && properties.platform !== 'host' ? `${properties.name}, ${properties.targetId}` : properties?.name
  return `${id}${what ? ` (${what})` : ''}${reason ? `: ${reason}` : ''}`
}

const isGfx = /^gfx[0-9a-f]+(:.+)?$/
const specPattern =
  /^(auto|host|reference|(amd|nvidia)(:\d+)?|gfx[0-9a-f]+(:.+)?|sm_\d+a?|GPU-[0-9a-z-]{4,}|[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f])$/i

/** What other programs call devices. */
const spoken: Readonly<Record<string, string>> = {
  cpu: 'host',
  cuda: 'nvidia',
  rocm: 'amd',
  hip: 'amd',
  amdgpu: 'amd',
  radeon: 'amd',
}

/**
 * A spec in our words: `cpu` is `host`, `cuda:1` is `nvidia:1`, `rocm`, `hip` are `amd`; `gpu` stays, for whichever there is.
 * Refuses what cannot name a device: Diagnostic `unknown-device`.
 */
function deviceSpec(given: string): string {
  const [name = '', ordinal] = given.trim().toLowerCase().split(':', 2)
  const known = Object.hasOwn(spoken, name) && /^\d*$/.test(ordinal ?? '') ? spoken[name]! : undefined
  if (known === 'host' && (ordinal ?? '0') === '0') return known
  if (known && known !== 'host') return ordinal === undefined ? known : `${known}:${ordinal}`
  if (name === 'gpu' && (ordinal ?? '0') === '0') return 'gpu'
  const spec = given.trim()
  if (specPattern.test(spec)) return spec
  return fail({
    code: 'unknown-device',
    message: `\`${given.slice(0, 60)}\` does not name a device`,
    help: `${/^\d+$/.test(spec) ? `did you mean amd:${spec}? ` : ''}one of auto, gpu, amd:0, nvidia:0, gfx1100, sm_90, a UUID (GPU-…), a PCI address, host, reference`,
  })
}

/** Does this device answer to a name that is not `auto`? */
function answersTo(spec: string, device: DeviceReport): boolean {
  const name = spec.toLowerCase()
  const { properties } = device
  return match(name)
    .with('gpu', () => (device.platform === 'amd' || device.platform === 'nvidia') && device.use !== 'skipped')
    .with('amd', 'nvidia', () => device.platform === name && device.use !== 'skipped')
    .with(P.string.regex(isGfx), () => [properties?.target, properties?.targetId].includes(name))
    .with(P.string.startsWith('sm_'), () => properties?.target === name)
    .with(P.string.startsWith('gpu-'), () => properties?.uuid?.toLowerCase().startsWith(name) ?? false)
    .otherwise(() => device.id === name || properties?.pciBusId === name)
}

/**
 * The device that a spec names: `auto`, `amd`, `amd:0`, `nvidia:1`, `gfx1100`, `sm_90`, a UUID (or its beginning), a PCI
 * address, `host`, `reference`; also `gpu`, `cpu`, `cuda`, `rocm`, `hip`. With several of one kind the first wins. Diagnostics: `unknown-device` for a spec that
 * is none of these, `no-device` with a list of what there is.
 */
export function selectDevice(given: string, survey: DeviceSurvey | readonly DeviceReport[]): DeviceReport {
  const spec = deviceSpec(given)
  const { devices, platforms } = 'devices' in survey ? survey : { devices: survey, platforms: [] }
  const found =
    spec === 'auto' ? devices.find(({ use }) => use === 'default') : devices.find((device) => answersTo(spec, device))
  if (found) return found
  const facts: Fact[] = [
    ...devices.map((device) => ['found', describeDevice(device)] as const),
    ...platforms.filter(({ status }) => status !== 'ok').map(({ platform, detail }) => [platform, detail] as const),
  ]
  return fail({
    code: 'no-device',
    message: `no device \`${spec}\` on this machine`,
    facts,
    help: 'choose one of these with --device (in a script, the option device), or let `rocmforge doctor` say what is missing',
  })
}

/**
 * Surveys only what the spec needs and selects from it. `host` and `reference` ask nothing; `auto` starts no runtime
 * on a machine whose kernel has no GPU driver.
 */
export async function resolveDevice(given: string, options: SurveyOptions = {}): Promise<DeviceReport> {
  const spec = deviceSpec(given)
  const name = spec.toLowerCase()
  const narrowed = match(name)
    .with('host', 'reference', () => ({ platforms: [] as const }))
    .with('auto', () => ({ quick: true }))
    .with(P.union('amd', P.string.startsWith('amd:'), P.string.startsWith('gfx')), () => ({
      platforms: ['amd'] as const,
    }))
    .with(P.union('nvidia', P.string.startsWith('nvidia:'), P.string.startsWith('sm_')), () => ({
      platforms: ['nvidia'] as const,
    }))
    .otherwise(() => ({}))
  return selectDevice(name, await surveyDevices({ ...options, ...narrowed }))
}

/** Opens a device of the survey. For the host its library is built first, where that was not done yet. */
export async function openDriver(device: DeviceReport, options: DriverOptions = {}) {
  invariant(device.platform !== 'reference', 'the reference executor has no driver')
  const { Driver } = await import('./driver.ts')
  if (device.platform === 'host') {
    const { hostLibraryPath } = await import('../host/library.ts')
    return new Driver('host', await hostLibraryPath(), 0, options)
  }
  invariant(device.library && device.properties, 'a GPU of the survey has a library and properties')
  return new Driver(device.platform, device.library, device.properties.ordinal, options)
}
