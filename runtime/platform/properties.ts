// What a device is: hipDeviceProp_t in its two layouts, the attributes of CUDA, and the machine itself for the host
// platform, all as one record.
import { availableParallelism, cpus, totalmem } from 'node:os'
import { invariant } from '../../ir/diagnostic.ts'
import type { Calls, PlatformName } from './calls.ts'

export interface DeviceProperties {
  readonly platform: PlatformName
  readonly ordinal: number
  /** as the vendor names it: `AMD Radeon RX 7900 XTX` */
  readonly name: string
  /** what the compiler is asked for, without features: `gfx90a`, `sm_90`, `host` */
  readonly target: string
  /** with its features, as the runtime reports it: `gfx90a:sramecc+:xnack-` */
  readonly targetId: string
  /** lanes that run in step */
  readonly wave: number
  /** compute units (RDNA: CUs, not the WGPs that the runtime counts); SMs; threads of the host */
  readonly computeUnits: number
  /** as the runtime counts: what occupancy figures are per */
  readonly multiprocessors: number
  /** most LDS of one block, opted in where that is needed */
  readonly ldsBytesPerBlock: number
  readonly ldsBytesPerMultiprocessor: number
  readonly maxThreadsPerBlock: number
  readonly maxThreadsPerMultiprocessor: number
  readonly memoryBytes: number
  readonly l2Bytes: number
  readonly clockKHz: number
  readonly memoryClockKHz: number
  readonly memoryBusBits: number
  /** `GPU-…` as the vendor's tools print it, or undefined where the runtime does not say */
  readonly uuid?: string
  /** `0000:03:00.0` */
  readonly pciBusId?: string
  /** shares the machine's memory (APU) */
  readonly integrated: boolean
  readonly cooperativeLaunch: boolean
}

/** Byte offsets of the fields we read in hipDeviceProp_t; 64-bit fields are marked in `readProperties`. */
interface Layout {
  readonly uuid?: number
  readonly memory: number
  readonly ldsPerBlock: number
  readonly wave: number
  readonly maxThreads: number
  readonly clock: number
  readonly memoryClock: number
  readonly busBits: number
  readonly multiprocessors: number
  readonly integrated: number
  readonly l2: number
  readonly maxThreadsPerMultiprocessor: number
  readonly ldsPerMultiprocessor: number
  readonly pciBus: number
  readonly pciDevice: number
  readonly pciDomain: number
  readonly cooperative: number
  readonly gcnArchName: number
}

// Offsets by offsetof over the headers of HIP 5.2, 6.4 and 7.2.
export const layoutOld: Layout = {
  memory: 256,
  ldsPerBlock: 264,
  wave: 276,
  maxThreads: 280,
  clock: 308,
  memoryClock: 312,
  busBits: 316,
  multiprocessors: 336,
  l2: 340,
  maxThreadsPerMultiprocessor: 344,
  pciDomain: 364,
  pciBus: 368,
  pciDevice: 372,
  ldsPerMultiprocessor: 376,
  gcnArchName: 396,
  integrated: 652,
  cooperative: 656,
}
export const layoutR0600: Layout = {
  uuid: 256,
  memory: 288,
  ldsPerBlock: 296,
  wave: 308,
  maxThreads: 320,
  clock: 348,
  multiprocessors: 388,
  integrated: 396,
  pciBus: 584,
  pciDevice: 588,
  pciDomain: 592,
  memoryClock: 608,
  busBits: 612,
  l2: 616,
  maxThreadsPerMultiprocessor: 624,
  ldsPerMultiprocessor: 640,
  cooperative: 688,
  gcnArchName: 1160,
}

/** larger than any release's struct (792 and 1472 bytes), zeroed */
const structBytes = 4096

/** RDNA works in pairs of CUs (WGP) and HIP counts the pairs. */
const countsPairs = (target: string): boolean => /^gfx1[0-2]\d\d$/.test(target)

/** The text of a fixed-size char array. */
function text(bytes: Uint8Array, start = 0, length = 256): string {
  const end = bytes.indexOf(0, start)
  return new TextDecoder().decode(bytes.subarray(start, end < 0 || end > start + length ? start + length : end)).trim()
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0')

/** HIP's uuid bytes are the text of the device's serial number: `GPU-` and 16 hexadecimal digits. */
function amdUuid(bytes: Uint8Array): string | undefined {
  if (bytes.every((byte) => byte === 0)) return undefined
  const serial = text(bytes, 0, 16)
  return `GPU-${/^[\x21-\x7e]{16}$/.test(serial) ? serial : [...bytes].map((byte) => hex(byte, 2)).join('')}`
}

function nvidiaUuid(bytes: Uint8Array): string {
  const digits = [...bytes].map((byte) => hex(byte, 2)).join('')
  return `GPU-${digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')}`
}

/** Reads hipDeviceProp_t. `physicalUnits` is attribute 10015 where the runtime has it. */
export function readProperties(
  struct: Uint8Array,
  layout: Layout,
  ordinal: number,
  physicalUnits?: number,
): DeviceProperties {
  const data = new DataView(struct.buffer, struct.byteOffset, struct.byteLength)
  const i32 = (offset: number): number => data.getInt32(offset, true)
  const u64 = (offset: number): number => Number(data.getBigUint64(offset, true))
  const targetId = text(struct, layout.gcnArchName)
  const target = targetId.split(':')[0]!
  const multiprocessors = i32(layout.multiprocessors)
  const uuid = layout.uuid === undefined ? undefined : amdUuid(struct.subarray(layout.uuid, layout.uuid + 16))
  const doubled = countsPairs(target) ? multiprocessors * 2 : multiprocessors
  return {
    platform: 'amd',
    ordinal,
    name: text(struct) || target,
    target,
    targetId,
    wave: i32(layout.wave),
    // disabled units make the physical count the smaller of the two at most by one pair
    computeUnits:
      physicalUnits && physicalUnits >= multiprocessors && physicalUnits <= doubled ? physicalUnits : doubled,
    multiprocessors,
    ldsBytesPerBlock: u64(layout.ldsPerBlock),
    ldsBytesPerMultiprocessor: u64(layout.ldsPerMultiprocessor),
    maxThreadsPerBlock: i32(layout.maxThreads),
    maxThreadsPerMultiprocessor: i32(layout.maxThreadsPerMultiprocessor),
    memoryBytes: u64(layout.memory),
    l2Bytes: i32(layout.l2),
    clockKHz: i32(layout.clock),
    memoryClockKHz: i32(layout.memoryClock),
    memoryBusBits: i32(layout.busBits),
    ...(uuid ? { uuid } : {}),
    pciBusId: `${hex(i32(layout.pciDomain), 4)}:${hex(i32(layout.pciBus), 2)}:${hex(i32(layout.pciDevice), 2)}.0`,
    integrated: i32(layout.integrated) !== 0,
    cooperativeLaunch: i32(layout.cooperative) !== 0,
  }
}

/** A status other than 0 from one of the queries below, handed to the caller's check. */
type Check = (code: number, call: keyof Calls) => void

const physicalMultiprocessors = 10015

/** An AMD device, by the struct whose layout its release has. */
export function amdProperties(calls: Calls, ordinal: number, check: Check): DeviceProperties {
  const struct = new Uint8Array(new ArrayBuffer(structBytes))
  const int = new Int32Array(new ArrayBuffer(8))
  const known = calls.attribute(int, physicalMultiprocessors, ordinal) === 0 ? int[0] : undefined
  if (calls.propertiesR0600) {
    check(calls.propertiesR0600(struct, ordinal), 'propertiesR0600')
    return readProperties(struct, layoutR0600, ordinal, known)
  }
  invariant(calls.propertiesOld, 'a HIP runtime exports one of the two property calls')
  check(calls.propertiesOld(struct, ordinal), 'propertiesOld')
  return readProperties(struct, layoutOld, ordinal, known)
}

/** CUdevice_attribute numbers */
const cuda = {
  maxThreadsPerBlock: 1,
  wave: 10,
  clockKHz: 13,
  multiprocessors: 16,
  integrated: 18,
  memoryClockKHz: 36,
  busBits: 37,
  l2: 38,
  maxThreadsPerMultiprocessor: 39,
  major: 75,
  minor: 76,
  ldsPerMultiprocessor: 81,
  cooperative: 95,
  ldsOptIn: 97,
} as const

/** An NVIDIA device, by attributes: the driver API has no struct. */
export function nvidiaProperties(calls: Calls, ordinal: number, check: Check): DeviceProperties {
  const int = new Int32Array(new ArrayBuffer(8))
  const u64 = new BigUint64Array(new ArrayBuffer(8))
  const bytes = new Uint8Array(new ArrayBuffer(256))
  check(calls.deviceGet(int, ordinal), 'deviceGet')
  const device = int[0]!
  const attribute = (id: number): number => {
    check(calls.attribute(int, id, device), 'attribute')
    return int[0]!
  }
  const target = `sm_${attribute(cuda.major)}${attribute(cuda.minor)}`
  check(calls.deviceName(bytes, bytes.length, device), 'deviceName')
  const name = text(bytes)
  bytes.fill(0)
  check(calls.pciBusId(bytes, bytes.length, device), 'pciBusId')
  const pciBusId = text(bytes).toLowerCase()
  check(calls.deviceMemory(u64, device), 'deviceMemory')
  const uuid = new Uint8Array(new ArrayBuffer(16))
  const multiprocessors = attribute(cuda.multiprocessors)
  return {
    platform: 'nvidia',
    ordinal,
    name,
    target,
    targetId: target,
    wave: attribute(cuda.wave),
    computeUnits: multiprocessors,
    multiprocessors,
    ldsBytesPerBlock: attribute(cuda.ldsOptIn),
    ldsBytesPerMultiprocessor: attribute(cuda.ldsPerMultiprocessor),
    maxThreadsPerBlock: attribute(cuda.maxThreadsPerBlock),
    maxThreadsPerMultiprocessor: attribute(cuda.maxThreadsPerMultiprocessor),
    memoryBytes: Number(u64[0]),
    l2Bytes: attribute(cuda.l2),
    clockKHz: attribute(cuda.clockKHz),
    memoryClockKHz: attribute(cuda.memoryClockKHz),
    memoryBusBits: attribute(cuda.busBits),
    ...(calls.uuid?.(uuid, device) === 0 ? { uuid: nvidiaUuid(uuid) } : {}),
    pciBusId,
    integrated: attribute(cuda.integrated) !== 0,
    cooperativeLaunch: attribute(cuda.cooperative) !== 0,
  }
}

/** This machine's processor; asks no library. */
/** `threads` share the blocks of a grid: libhiphost's number, which ROCMFORGE_THREADS sets. */
export function hostProperties(threads = availableParallelism()): DeviceProperties {
  const processors = cpus()
  const clockKHz = (processors[0]?.speed ?? 0) * 1000
  return {
    platform: 'host',
    ordinal: 0,
    name: processors[0]?.model.trim() || `${process.arch} processor`,
    target: 'host',
    targetId: 'host',
    wave: 1,
    computeUnits: threads,
    multiprocessors: threads,
    ldsBytesPerBlock: 2 ** 20,
    ldsBytesPerMultiprocessor: 2 ** 20,
    maxThreadsPerBlock: 1024,
    maxThreadsPerMultiprocessor: 1024,
    memoryBytes: Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
    l2Bytes: 0,
    clockKHz,
    memoryClockKHz: 0,
    memoryBusBits: 0,
    integrated: true,
    cooperativeLaunch: false,
  }
}
