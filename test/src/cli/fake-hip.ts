// HIP's runtime as a machine has it that has no AMD GPU: a library of our own in which every call says so.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { findHostCompiler } from '../../../runtime/host/compiler.ts'
import { amdSymbols } from '../../../runtime/platform/symbols-amd.ts'

const noDevice = 100 // hipErrorNoDevice

/** Makes `libamdhip64.so.6` in a folder. Needs a C++ compiler. */
export async function makeFakeHip(folder: string): Promise<void> {
  const names = Object.values(amdSymbols).flatMap((entry) =>
    'symbols' in entry ? entry.symbols : 'symbol' in entry ? [entry.symbol] : [],
  )
  const text = [...new Set(names)].map((name) =>
    name.endsWith('ErrorName') || name.endsWith('ErrorString')
      ? `const char* ${name}(int) { return "hipErrorNoDevice"; }`
      : `int ${name}() { return ${noDevice}; }`,
  )
  const [program, ...words] = (await findHostCompiler()).command
  const options = ['-shared', '-fPIC', '-x', 'c++', '-', '-o', join(folder, 'libamdhip64.so.6')]
  execFileSync(program!, [...words, ...options], { input: `extern "C" {\n${text.join('\n')}\n}\n` })
}
