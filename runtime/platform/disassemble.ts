// The instructions of an AMD code object as text, by comgr, which every hipRTC brings along. Its calls that take one
// instruction at a time are used: the action for whole objects is gone from comgr 7.2. For child processes only.
import { readElf } from '../code-object/elf.ts'
import type { FoundLibrary } from './discovery.ts'
import { viewMemory, withCallback } from './ffi.ts'
import { openAlone } from './rtc.ts'

/**
 * `kernel:` and its instructions, one a line, for each function of the code object; undefined where comgr has no
 * disassembler, or none for this target. `target`: `gfx90a:xnack-`.
 */
export function disassemble(comgr: FoundLibrary, target: string, image: Uint8Array): string | undefined {
  const library = openAlone(comgr.path)
  const create = library.bind('amd_comgr_create_disassembly_info', 'status', [
    'text',
    'pointer',
    'pointer',
    'pointer',
    'pointer',
  ])
  const destroy = library.bind('amd_comgr_destroy_disassembly_info', 'status', ['u64'])
  const step = library.bind('amd_comgr_disassemble_instruction', 'status', ['u64', 'u64', 'pointer', 'pointer'])
  const elf = readElf(image)
  const text = elf?.sections.find(({ name }) => name === '.text')
  if (!create || !destroy || !step || !elf || !text) return undefined

  const labels = new Map<number, string>()
  for (const { name, address, size } of elf.symbols()) {
    const inside = address >= text.address && address < text.address + text.size
    if (inside && size > 0) labels.set(address, name)
  }
  const { content, address: start } = text
  const lines: string[] = []
  const readMemory = (from: number | bigint, to: bigint, size: number | bigint): number => {
    const piece = content.subarray(Number(from) - start, Math.min(content.length, Number(from) - start + Number(size)))
    new Uint8Array(viewMemory(to, piece.length)).set(piece)
    return piece.length
  }
  const take = (instruction: string): void => void lines.push(`\t${instruction.trim()}`)

  return withCallback('u64', ['u64', 'pointer', 'u64', 'pointer'], readMemory, (read) =>
    withCallback('nothing', ['text', 'pointer'], take, (print) =>
      withCallback(
        'nothing',
        ['u64', 'pointer'],
        () => {},
        (annotate) => {
          const info = new BigUint64Array(new ArrayBuffer(8))
          if (create(`amdgcn-amd-amdhsa--${target}`, read, print, annotate, info) !== 0) return undefined
          try {
            const size = new BigUint64Array(new ArrayBuffer(8))
            for (let at = 0; at < content.length; at += Number(size[0])) {
              const label = labels.get(start + at)
              if (label) lines.push(`${label}:`)
              if (step(info[0], start + at, null, size) !== 0 || size[0] === 0n) {
                size[0] = 4n // data between functions: no instruction
                lines.push('\t.long')
              }
            }
            return `${lines.join('\n')}\n`
          } finally {
            destroy(info[0])
          }
        },
      ),
    ),
  )
}
