// What a compiled kernel's instructions say of its memory traffic: loads from global memory by width, and scratch memory.
// AMD by disassembly; NVIDIA by the few fields of an instruction's 16 bytes that tell, since no disassembler is at hand.
import { readElf } from '../../runtime/code-object/elf.ts'

export interface MemoryInstructions {
  /** loads of global memory by bits a lane: 8, 16, 32, 64, 96, 128 */
  readonly loads: ReadonlyMap<number, number>
  /** loads and stores of memory that stands in for registers */
  readonly scratch: number
  readonly instructions: number
}

const amdBits: Readonly<Record<string, number>> = {
  ubyte: 8,
  sbyte: 8,
  ushort: 16,
  sshort: 16,
  short: 16,
  dword: 32,
  dwordx2: 64,
  dwordx3: 96,
  dwordx4: 128,
  u8: 8,
  i8: 8,
  u16: 16,
  i16: 16,
  b16: 16,
  b32: 32,
  b64: 64,
  b96: 96,
  b128: 128,
}

/** Of one kernel in the text that `CompileService.disassemble` gives. */
export function amdInstructions(text: string, kernel: string): MemoryInstructions {
  const lines = text.split('\n')
  const start = lines.indexOf(`${kernel}:`)
  if (start < 0) throw new Error(`no ${kernel} in\n${text.slice(0, 200)}`)
  const end = lines.findIndex((line, i) => i > start && /^[^\s]/.test(line))
  const own = lines.slice(start + 1, end < 0 ? undefined : end).filter((line) => line !== '')
  const loads = new Map<number, number>()
  let scratch = 0
  for (const line of own) {
    const [name = ''] = line.trim().split(/\s/)
    if (/^scratch_/.test(name) || (/^buffer_(load|store)/.test(name) && / off, s\[0:3\],/.test(line))) scratch++
    const width = /^(?:global|flat|buffer)_load_(?:lds_)?(?:d16_(?:hi_)?)?([a-z]+\d*(?:x\d)?)/.exec(name)?.[1]
    if (width === undefined || width === 'lds') continue
    const bits = amdBits[width]
    if (bits === undefined) throw new Error(`a load of unknown width: ${name}`)
    loads.set(bits, (loads.get(bits) ?? 0) + 1)
  }
  return { loads, scratch, instructions: own.length }
}

// Twelve low bits of an instruction name the operation, bits 73 to 75 a load's width (of Volta and later; found by
// compiling loads of each width).
const sass = { loadGlobal: [0x981, 0x381], copyToShared: [0xfae], local: [0x983, 0x387] }
const sassBits = [8, 8, 16, 16, 32, 64, 128, 128]

/** Of one kernel in a cubin. */
export function nvidiaInstructions(cubin: Uint8Array, kernel: string): MemoryInstructions {
  const code = readElf(cubin)?.sections.find(({ name }) => name === `.text.${kernel}`)?.content
  if (!code) throw new Error(`no ${kernel} in the cubin`)
  const view = new DataView(code.buffer, code.byteOffset, code.byteLength)
  const loads = new Map<number, number>()
  let scratch = 0
  for (let at = 0; at + 16 <= code.length; at += 16) {
    const operation = view.getUint16(at, true) & 0xfff
    if (sass.local.includes(operation)) scratch++
    if (!sass.loadGlobal.includes(operation) && !sass.copyToShared.includes(operation)) continue
    const bits = sassBits[(view.getUint16(at + 9, true) >> 1) & 7]!
    loads.set(bits, (loads.get(bits) ?? 0) + 1)
  }
  return { loads, scratch, instructions: code.length / 16 }
}

/** Of what all the loads of a kernel bring if each runs once: the part that comes 16 bytes at a time. */
export function wideShare({ loads }: MemoryInstructions): number {
  const all = [...loads].reduce((sum, [bits, count]) => sum + bits * count, 0)
  return all === 0 ? 0 : (128 * (loads.get(128) ?? 0)) / all
}
