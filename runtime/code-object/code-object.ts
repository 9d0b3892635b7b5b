// What a compiled kernel occupies, read from the file that the compiler made, without a GPU: AMD code objects by their
// metadata note, cubins by their attributes; and how many waves of it fit on a target.
// Sources: LLVM's AMDGPU usage guide (code object V4 to V6, register allocation); cubin attributes by inspection.
import type { Target } from '../../ir/target.ts'
import type { KernelResources } from '../cache/kernel-resources.ts'
import { type Elf, readElf } from './elf.ts'
import { type Packed, readMessagePack } from './message-pack.ts'

interface CodeObject {
  readonly format: 'amd' | 'cubin' | 'host'
  /** `gfx1100`, `gfx90a:sramecc+:xnack-`, `sm_90`; undefined for host code */
  readonly target?: string
  /** AMD code object version: 4, 5 or 6 */
  readonly version?: number
  readonly kernels: readonly KernelResources[]
}

const AMDGPU = 224
const CUDA = 190
const AMDGPU_METADATA = 32

/** Undefined when the bytes are no object file that we know. */
export function readCodeObject(image: Uint8Array): CodeObject | undefined {
  const elf = readElf(image)
  if (!elf) return undefined
  if (elf.machine === AMDGPU) return amdCodeObject(elf)
  if (elf.machine === CUDA) return cubin(elf)
  return { format: 'host', kernels: [] }
}

function amdCodeObject(elf: Elf): CodeObject | undefined {
  const note = elf.notes.find(({ owner, type }) => owner === 'AMDGPU' && type === AMDGPU_METADATA)
  const metadata = asMap(note && readMessagePack(note.content))
  const kernels = metadata?.['amdhsa.kernels']
  if (!Array.isArray(kernels)) return undefined
  const sizes = new Map(elf.symbols().map(({ name, size }) => [name, size]))
  const id = String(metadata?.['amdhsa.target'] ?? '').replace(/^amdgcn-amd-amdhsa--/, '')
  return {
    format: 'amd',
    target: id,
    version: elf.abiVersion + 2,
    kernels: kernels.map((packed) => {
      const kernel = asMap(packed) ?? {}
      const name = String(kernel['.name'])
      const codeBytes = sizes.get(name)
      const fields = {
        vgprs: kernel['.vgpr_count'],
        agprs: kernel['.agpr_count'],
        sgprs: kernel['.sgpr_count'],
        vgprSpills: kernel['.vgpr_spill_count'],
        sgprSpills: kernel['.sgpr_spill_count'],
        ldsBytes: kernel['.group_segment_fixed_size'],
        scratchBytes: kernel['.private_segment_fixed_size'],
        waveSize: kernel['.wavefront_size'],
        maxBlock: kernel['.max_flat_workgroup_size'],
        kernargBytes: kernel['.kernarg_segment_size'],
        codeBytes: codeBytes === 0 ? undefined : codeBytes,
      }
      return { name, ...numbersOf(fields) }
    }),
  }
}

const asMap = (value: Packed | undefined): { [key: string]: Packed } | undefined =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && !(value instanceof Uint8Array)
    ? value
    : undefined

function numbersOf<K extends string>(fields: Record<K, unknown>): Partial<Record<K, number>> {
  const numbers = Object.entries(fields).filter((pair) => typeof pair[1] === 'number')
  return Object.fromEntries(numbers) as Partial<Record<K, number>>
}

// attributes in .nv.info sections: a byte of format (4: followed by a u16 of bytes), a byte of kind
const SIZED = 4
const FRAME_BYTES = 0x11
const REGISTERS = 0x2f

/** from sm_90 on, the section of a kernel's shared memory includes what the system takes of each block */
const reservedShared = 1024

function cubin(elf: Elf): CodeObject {
  const symbols = elf.symbols()
  const byKernel = (kind: number): Map<string, number> => {
    const values = new Map<string, number>()
    const content = elf.sections.find(({ name }) => name === '.nv.info')?.content ?? new Uint8Array()
    const view = new DataView(content.buffer, content.byteOffset, content.byteLength)
    for (let at = 0; at + 4 <= content.length; ) {
      const [format, found, size] = [content[at], content[at + 1], view.getUint16(at + 2, true)]
      if (format === SIZED && found === kind && size >= 8 && at + 12 <= content.length) {
        values.set(symbols[view.getUint32(at + 4, true)]?.name ?? '', view.getUint32(at + 8, true))
      }
      at += 4 + (format === SIZED ? size : 0)
    }
    return values
  }
  const [registers, frames] = [byKernel(REGISTERS), byKernel(FRAME_BYTES)]
  const code = elf.sections.filter(({ name }) => name.startsWith('.text.'))
  const kernels = code
    .map((text) => ({ text, name: text.name.slice('.text.'.length) }))
    .filter(({ name }) => elf.sections.some((section) => section.name === `.nv.constant0.${name}`)) // entries only
  // the architecture's place in e_flags moved with the cubin's ABI version; CUDA 13 writes version 8
  const sm = elf.abiVersion >= 8 ? (elf.flags >> 8) & 0xff : elf.flags & 0xff
  const sharedOf = (name: string) => elf.sections.find((section) => section.name === `.nv.shared.${name}`)?.size ?? 0
  return {
    format: 'cubin',
    target: `sm_${sm}`,
    kernels: kernels.map(({ text, name }) => ({
      name,
      ...numbersOf({ vgprs: registers.get(name), scratchBytes: frames.get(name) }),
      ldsBytes: Math.max(0, sharedOf(name) - (sm >= 90 ? reservedShared : 0)),
      waveSize: 32,
      codeBytes: text.size,
    })),
  }
}

export interface Occupancy {
  /** waves of this kernel that a SIMD can hold at once */
  readonly waves: number
  /** most that the target can hold */
  readonly maxWaves: number
  readonly limit: 'none' | 'registers' | 'lds'
}

/**
 * Estimate of the waves in flight, from registers and LDS alone, for blocks of `block` threads with `dynamicLds`
 * bytes more. Undefined where the target or the kernel does not tell.
 */
export function occupancy(
  { vgprs, ldsBytes = 0 }: KernelResources,
  { registers, wave, simds, ldsPerCuBytes }: Target,
  block: number,
  dynamicLds = 0,
): Occupancy | undefined {
  if (!registers || vgprs === undefined) return undefined
  const { granule, perSimd, maxWaves } = registers
  const allocated = Math.max(granule, Math.ceil(vgprs / granule) * granule)
  const byRegisters = Math.min(maxWaves, Math.floor(perSimd / allocated))
  const lds = ldsBytes + dynamicLds
  const wavesOfBlock = Math.ceil(block / wave)
  const byLds = lds === 0 ? maxWaves : Math.floor((Math.floor(ldsPerCuBytes / lds) * wavesOfBlock) / simds)
  const waves = Math.min(byRegisters, Math.max(byLds, lds <= ldsPerCuBytes ? 1 : 0))
  return { waves, maxWaves, limit: waves === maxWaves ? 'none' : waves < byRegisters ? 'lds' : 'registers' }
}

/**
 * Blocks of `block` threads that a CU holds at once, by the same estimate: 0 where one does not fit. Undefined where the
 * target or the kernel does not tell.
 */
export function residentBlocks(
  resources: KernelResources,
  target: Target,
  block: number,
  dynamicLds = 0,
): number | undefined {
  const waves = occupancy({ ...resources, ldsBytes: 0 }, target, block)?.waves
  if (waves === undefined) return undefined
  const lds = (resources.ldsBytes ?? 0) + dynamicLds
  const byWaves = Math.floor((waves * target.simds) / Math.ceil(block / target.wave))
  return lds === 0 ? byWaves : Math.min(byWaves, Math.floor(target.ldsPerCuBytes / lds))
}

/** True when the kernel keeps values in memory because registers ran out. */
export const spills = ({ vgprSpills = 0, sgprSpills = 0, scratchBytes = 0 }: KernelResources): boolean =>
  vgprSpills > 0 || sgprSpills > 0 || scratchBytes > 0
