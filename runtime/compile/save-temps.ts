// --save-temps: what went into a compile and what came out, as files to read.

import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Target, targetId } from '../../ir/target.ts'
import type { Entry } from '../cache/entry.ts'
import { makeFolder } from '../cache/file-layer.ts'
import { sharedObjectIn } from '../host/compiler.ts'

const extension = { amd: 'co', nvidia: 'cubin', host: 'so' } as const

/** Programs that print the instructions of an object file, in the order they are tried. */
const disassemblers: Readonly<Record<Target['platform'], readonly (readonly string[])[]>> = {
  amd: ['', '-23', '-22', '-21', '-20', '-19'].map((version) => [`llvm-objdump${version}`, '-d']),
  nvidia: [
    ['nvdisasm', '-c'],
    ['cuobjdump', '-sass'],
  ],
  host: [['objdump', '-d', '--no-show-raw-insn']],
}

/**
 * Writes source, options, object, log, resources and, with a disassembler, the ISA; gives the folder. `disassemble` is
 * asked first: it may have one without any program installed.
 */
export async function saveTemps(
  folder: string,
  target: Target,
  source: string,
  entry: Entry,
  disassemble: (target: Target, image: Uint8Array) => Promise<string | undefined>,
): Promise<string> {
  const label = entry.label.replaceAll(/[^\w.-]+/g, '_')
  const own = join(folder, `${label}.${targetId(target).replaceAll(':', '.')}.${entry.key.slice(0, 12)}`)
  makeFolder(own)
  const object = `kernel.${extension[target.platform]}`
  writeFileSync(join(own, 'kernel.hip'), source)
  writeFileSync(join(own, 'options.txt'), `${entry.parts.options.join('\n')}\n`)
  writeFileSync(join(own, object), sharedObjectIn(entry.image) ?? entry.image)
  writeFileSync(join(own, 'log.txt'), entry.log)
  writeFileSync(join(own, 'resources.json'), `${JSON.stringify(entry.resources, null, 2)}\n`)
  const instructions = await disassemble(target, entry.image)
  if (instructions !== undefined) {
    writeFileSync(join(own, 'kernel.s'), instructions)
    return own
  }
  for (const [program, ...args] of disassemblers[target.platform]) {
    const text = await disassembly(program!, [...args, join(own, object)])
    if (text === undefined) continue
    writeFileSync(join(own, 'kernel.s'), text)
    break
  }
  return own
}

async function disassembly(program: string, args: readonly string[]): Promise<string | undefined> {
  try {
    const limits = { maxBuffer: 256 << 20, timeout: 60_000 }
    const { stdout } = await promisify(execFile)(program, args, limits)
    return stdout
  } catch {
    return undefined // not installed, or too old for the target
  }
}
