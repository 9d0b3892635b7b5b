// What stands between this machine and its GPUs, as checks with a fix each: libraries, device nodes and their
// permissions, container flags, variables. Nothing here loads a library; the survey of devices is handed in.
import type { DeviceSurvey, PlatformReport } from './devices.ts'
import { findCudaDriver, findHip, findNvrtc } from './discovery.ts'
import { type FileView, systemFiles } from './file-view.ts'
import { type SystemView, systemView } from './system-view.ts'

/** One thing looked at. Other parts (compiler, cache, launch) report in the same form. */
export interface Check {
  /** kebab-case, stable: what scripts match on */
  readonly id: string
  readonly status: 'ok' | 'warn' | 'fail' | 'skip'
  /** one line for people */
  readonly detail: string
  /** what to do about it */
  readonly fix?: string
}

interface DoctorInput {
  readonly survey: DeviceSurvey
  readonly files?: FileView
  readonly system?: SystemView
  /** an NVRTC that is not installed was found among the toolchains */
  readonly nvrtcBrought?: boolean
}

/** All checks of the platform layer, in the order in which they depend on each other. */
export function platformChecks(input: DoctorInput): Check[] {
  const { survey, files = systemFiles(), system = systemView(), nvrtcBrought = false } = input
  const report = (platform: 'amd' | 'nvidia') => survey.platforms.find((entry) => entry.platform === platform)
  return [
    hardware(system),
    container(system),
    hipLibraries(files, system),
    ...(files.os === 'linux' ? [kfd(system), renderNodes(system)] : []),
    devices('amd-devices', report('amd'), system.gpus().includes('amd')),
    cudaDriver(files, system),
    nvrtc(files, system, nvrtcBrought),
    devices('nvidia-devices', report('nvidia'), system.gpus().includes('nvidia')),
    gfxOverride(files),
    visibleDevices(files),
    compilerVariables(files),
    memory(survey),
  ]
}

const vendorName = { amd: 'AMD', nvidia: 'NVIDIA' } as const

function hardware(system: SystemView): Check {
  const gpus = system.gpus()
  const counts = (['amd', 'nvidia'] as const).flatMap((vendor) => {
    const count = gpus.filter((gpu) => gpu === vendor).length
    return count > 0 ? [`${count} ${vendorName[vendor]}`] : []
  })
  if (counts.length > 0) return { id: 'gpu-hardware', status: 'ok', detail: `${counts.join(', ')} on the PCI bus` }
  return { id: 'gpu-hardware', status: 'skip', detail: 'the system lists no AMD or NVIDIA GPU' }
}

function container(system: SystemView): Check {
  const id = 'container'
  if (!system.inContainer()) return { id, status: 'skip', detail: 'not in a container' }
  const seen = system.access('/dev/kfd') !== 'missing' || system.access('/dev/nvidiactl') !== 'missing'
  if (seen) return { id, status: 'ok', detail: 'in a container that was given a GPU' }
  return {
    id,
    status: system.gpus().length > 0 ? 'warn' : 'skip',
    detail: 'in a container without GPU devices',
    fix: 'start it with --device=/dev/kfd --device=/dev/dri --group-add=render --group-add=video (AMD) or --gpus=all (NVIDIA)',
  }
}

function hipLibraries(files: FileView, system: SystemView): Check {
  const id = 'hip-libraries'
  const { found, problem } = findHip(files)
  const parts = [found?.runtime, found?.compiler, found?.comgr].flatMap((part) => (part ? [files.real(part.path)] : []))
  const detail = [[...new Set(parts)].join(', '), problem].filter(Boolean).join(': ')
  if (found && !problem) return { id, status: 'ok', detail: `${detail} (by ${found.why})` }
  return {
    id,
    status: system.gpus().includes('amd') ? 'fail' : found ? 'warn' : 'skip',
    detail,
    fix: 'install the HIP runtime and hipRTC of one ROCm release, or name its folder in ROCMFORGE_ROCM_PATH',
  }
}

/** The fix for a device node that this user may not open. */
function permissionFix(system: SystemView, path: string): string {
  const gid = system.group(path)
  if (gid === undefined) return `let this user open ${path}`
  const name = system.groupName(gid)
  if (system.groups().includes(gid)) return `give group ${name ?? gid} read and write access: sudo chmod g+rw ${path}`
  if (system.inContainer()) return `start the container with --group-add=${gid}`
  return name
    ? `add this user to the group: sudo usermod -aG ${name} $USER, then log in again`
    : `group ${gid} of ${path} has no name here: sudo groupadd -g ${gid} render && sudo usermod -aG render $USER`
}

function owned(system: SystemView, path: string): string {
  const gid = system.group(path)
  const name = gid === undefined ? undefined : system.groupName(gid)
  return gid === undefined ? path : `${path} (group ${name ?? 'without a name'}, gid ${gid})`
}

function kfd(system: SystemView): Check {
  const path = '/dev/kfd'
  const access = system.access(path)
  if (access === 'ok') return { id: 'kfd', status: 'ok', detail: `${path} opens for reading and writing` }
  if (access === 'denied') {
    return {
      id: 'kfd',
      status: 'fail',
      detail: `no permission to open ${owned(system, path)}`,
      fix: permissionFix(system, path),
    }
  }
  if (!system.gpus().includes('amd')) return { id: 'kfd', status: 'skip', detail: `${path} does not exist` }
  return {
    id: 'kfd',
    status: 'fail',
    detail: `${path} does not exist though there is an AMD GPU`,
    fix: system.inContainer()
      ? 'start the container with --device=/dev/kfd --device=/dev/dri'
      : 'load the kernel driver: sudo modprobe amdgpu (kernel 6.1 or later, or the amdgpu-dkms package)',
  }
}

function renderNodes(system: SystemView): Check {
  const id = 'render-nodes'
  const nodes = system.renderNodes()
  if (nodes.length === 0) return { id, status: 'skip', detail: 'no /dev/dri/renderD* exists' }
  const denied = nodes.filter((node) => system.access(node) === 'denied')
  if (denied.length === 0) return { id, status: 'ok', detail: `${nodes.join(', ')} open for reading and writing` }
  return {
    id,
    status: 'fail',
    detail: `no permission to open ${denied.map((node) => owned(system, node)).join(', ')}`,
    fix: permissionFix(system, denied[0]!),
  }
}

function devices(id: string, report: PlatformReport | undefined, expected: boolean): Check {
  if (!report || report.status === 'absent') return { id, status: 'skip', detail: report?.detail ?? 'not asked' }
  if (report.status === 'ok') return { id, status: 'ok', detail: report.detail }
  if (report.status === 'no-device') {
    return {
      id,
      status: expected ? 'fail' : 'skip',
      detail: report.detail,
      ...(expected ? { fix: 'see the checks above: device nodes, permissions, variables that hide devices' } : {}),
    }
  }
  return {
    id,
    status: 'fail',
    detail: report.detail,
    fix: 'update the driver or name another installation in ROCMFORGE_ROCM_PATH; the CPU is used meanwhile',
  }
}

function cudaDriver(files: FileView, system: SystemView): Check {
  const { found } = findCudaDriver(files)
  if (found) return { id: 'cuda-driver', status: 'ok', detail: files.real(found.path) }
  const expected = system.gpus().includes('nvidia')
  return {
    id: 'cuda-driver',
    status: expected ? 'fail' : 'skip',
    detail: 'no NVIDIA driver library found',
    ...(expected ? { fix: "install NVIDIA's driver; in a container start with --gpus=all" } : {}),
  }
}

function nvrtc(files: FileView, system: SystemView, brought: boolean): Check {
  const { found } = findNvrtc(files)
  if (found) return { id: 'nvrtc', status: 'ok', detail: files.real(found.path) }
  if (brought) return { id: 'nvrtc', status: 'ok', detail: 'none is installed; nvrtc-toolchains has one' }
  const expected = system.gpus().includes('nvidia')
  return {
    id: 'nvrtc',
    status: expected ? 'fail' : 'skip',
    detail: 'no NVRTC is installed',
    ...(expected
      ? {
          fix: 'pip install nvidia-cuda-nvrtc, name a CUDA folder in ROCMFORGE_CUDA_PATH, or on Debian run `rocmforge toolchain nvrtc`',
        }
      : {}),
  }
}

function gfxOverride(files: FileView): Check {
  const id = 'gfx-override'
  const value = files.env['HSA_OVERRIDE_GFX_VERSION']
  if (!value) return { id, status: 'ok', detail: 'HSA_OVERRIDE_GFX_VERSION is not set' }
  return {
    id,
    status: 'warn',
    detail: `HSA_OVERRIDE_GFX_VERSION=${value}: every AMD GPU claims to be that target`,
    fix: 'unset it: kernels are compiled for the real target of each GPU',
  }
}

const hidesAll = (value: string): boolean => value.trim() === '' || value.trim() === '-1'

function visibleDevices(files: FileView): Check {
  const id = 'visible-devices'
  const names = ['HIP_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL', 'CUDA_VISIBLE_DEVICES']
  const set = names.flatMap((name) => {
    const value = files.env[name]
    return value === undefined ? [] : [{ name, value, text: `${name}=${value}` }]
  })
  if (set.length === 0) return { id, status: 'ok', detail: 'no variable hides devices' }
  const detail = set.map(({ text }) => text).join(', ')
  const hiding = set.filter(({ value }) => hidesAll(value))
  if (hiding.length > 0) {
    const hidden = hiding.map(({ name }) => name).join(' and ')
    return { id, status: 'warn', detail: `${detail}: hides every GPU`, fix: `unset ${hidden}` }
  }
  if (
    set.some(({ name }) => name === 'HIP_VISIBLE_DEVICES') &&
    set.some(({ name }) => name === 'ROCR_VISIBLE_DEVICES')
  ) {
    return {
      id,
      status: 'warn',
      detail: `${detail}: HIP's numbers count only what ROCR left`,
      fix: 'set one of the two',
    }
  }
  return { id, status: 'ok', detail }
}

/** variables that the compiler's libraries read on their own, and that change what they make */
const silentVariables = ['HIPRTC_COMPILE_OPTIONS_APPEND', 'HIPRTC_LINK_OPTIONS_APPEND', 'GPU_ENABLE_WGP_MODE']

function compilerVariables(files: FileView): Check {
  const id = 'compiler-variables'
  const set = silentVariables.filter((name) => files.env[name])
  if (set.length === 0) return { id, status: 'ok', detail: 'no variable changes what hipRTC makes' }
  return {
    id,
    status: 'warn',
    detail: `${set.map((name) => `${name}=${files.env[name]}`).join(', ')}: changes what hipRTC makes`,
    fix: `unset ${set.join(' ')}`,
  }
}

const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`

function memory(survey: DeviceSurvey): Check {
  const lines = survey.devices.flatMap(({ id, freeBytes, properties }) =>
    freeBytes === undefined ? [] : [`${id} ${gib(freeBytes)} of ${gib(properties?.memoryBytes ?? freeBytes)} free`],
  )
  if (lines.length === 0) return { id: 'memory', status: 'skip', detail: 'not asked' }
  return { id: 'memory', status: 'ok', detail: lines.join(', ') }
}
