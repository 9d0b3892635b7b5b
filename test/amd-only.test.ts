// What only an AMD GPU runs: docs/amd-without-hardware.md names every file with such code, and HIP's real libraries export
// the names that we call.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'
import { findToolchains } from '../runtime/compile/toolchains.ts'
import { optionalCalls } from '../runtime/platform/calls.ts'
import { amdSymbols } from '../runtime/platform/symbols-amd.ts'

const page = readFileSync(join(packageRoot(), 'docs/amd-without-hardware.md'), 'utf8')

function filesOf(...folders: string[]): string[] {
  return folders.flatMap((folder) =>
    readdirSync(join(packageRoot(), folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(packageRoot(), join(entry.parentPath, entry.name))),
  )
}
const textOf = (file: string): string => readFileSync(join(packageRoot(), file), 'utf8')
const isNamed = (file: string): boolean => page.includes(file.split('/').at(-1)!)

test('every branch of the prelude for AMD is listed, and templates have none', () => {
  const branching = filesOf('hip-templates').filter((file) => /\bON_AMD\b|__gfx|__GFX|amdgcn/.test(textOf(file)))
  expect(branching.filter((file) => !file.startsWith('hip-templates/prelude/'))).toEqual([])
  const onlyHost = /host\.h$/
  expect(branching.filter((file) => !onlyHost.test(file) && !isNamed(file))).toEqual([])
})

test('every file that tells AMD from the others is listed', () => {
  const files = filesOf('ir', 'passes', 'codegen', 'runtime', 'src').filter((file) => file.endsWith('.ts'))
  const telling = files.filter((file) => /'amd'|'hiprtc'|\bhip[A-Z]\w+\('/.test(textOf(file)))
  expect(telling.filter((file) => !isNamed(file))).toEqual([])
})

test('real HIP runtimes export every name of the symbol table', () => {
  const runtimes = findToolchains().flatMap(({ hip, version }) =>
    hip?.runtime ? [{ version, file: hip.runtime.path }] : [],
  )
  if (runtimes.length === 0) return console.log('skipped: no HIP runtime on this machine (rocmforge toolchain --all)')
  for (const { version, file } of runtimes) {
    const library = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
    const missing = Object.entries(amdSymbols).flatMap(([call, entry]) => {
      const names = 'symbols' in entry ? entry.symbols : 'symbol' in entry ? [entry.symbol] : []
      const known = names.length === 0 || names.some((name) => library.includes(`\0${name}\0`))
      return known || optionalCalls.has(call as keyof typeof amdSymbols) ? [] : [`${version}: ${names[0]}`]
    })
    expect(missing).toEqual([])
  }
})
