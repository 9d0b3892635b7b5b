// What doctor may know of a Linux system beyond library files: device nodes, groups, PCI. Injected in tests.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

export interface SystemView {
  /** can this process open the node for reading and writing? */
  access(path: string): 'ok' | 'denied' | 'missing'
  /** gid that owns the node */
  group(path: string): number | undefined
  groupName(gid: number): string | undefined
  /** this process's groups */
  groups(): readonly number[]
  renderNodes(): readonly string[]
  inContainer(): boolean
  /** vendors of the display devices that the kernel lists, one entry a device */
  gpus(): readonly ('amd' | 'nvidia')[]
}

const vendors: Readonly<Record<string, 'amd' | 'nvidia'>> = { '0x1002': 'amd', '0x10de': 'nvidia' }

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return ''
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder).sort()
  } catch {
    return []
  }
}

/** PCI class of display controllers and of processing accelerators (how datacenter GPUs call themselves). */
const isGpuClass = (text: string): boolean => text.startsWith('0x03') || text.startsWith('0x12')

/** This machine. */
export function systemView(): SystemView {
  return {
    access(path) {
      if (!existsSync(path)) return 'missing'
      try {
        closeSync(openSync(path, 'r+')) // a container's device rules refuse at open, not in the mode bits
        return 'ok'
      } catch {
        return 'denied'
      }
    },
    group(path) {
      try {
        return statSync(path).gid
      } catch {
        return undefined
      }
    },
    groupName(gid) {
      const line = read('/etc/group')
        .split('\n')
        .find((entry) => entry.split(':')[2] === String(gid))
      return line?.split(':')[0]
    },
    groups: () => process.getgroups?.() ?? [],
    renderNodes: () =>
      list('/dev/dri')
        .filter((name) => name.startsWith('renderD'))
        .map((name) => join('/dev/dri', name)),
    inContainer: () =>
      existsSync('/.dockerenv') ||
      existsSync('/run/.containerenv') ||
      /docker|kubepods|containerd|libpod|lxc/.test(read('/proc/1/cgroup')),
    gpus: () =>
      list('/sys/bus/pci/devices').flatMap((name) => {
        const device = join('/sys/bus/pci/devices', name)
        const vendor = vendors[read(join(device, 'vendor'))]
        return vendor && isGpuClass(read(join(device, 'class'))) ? [vendor] : []
      }),
  }
}
