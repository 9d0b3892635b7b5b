// Writes the public declarations as one file: dist/index.d.ts for importers, dist/index.d.cts, the same, for `require`.
//
// The compiler declares every module, rollup keeps what src/index.ts exports and what that needs. What is left must mean the
// same to every compiler from TypeScript 5.2 on, without @types/node, DOM or a newer `lib`: `portable` sees to it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rollup } from 'rollup'
import { dts } from 'rollup-plugin-dts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** What every compiler lacks in some setting: `Disposable` (in `lib` since 5.2), `AbortSignal` (DOM or Node's types). */
const head = `/// <reference lib="es2022" />
/// <reference lib="esnext.disposable" />
declare global {
  interface AbortSignal {
    readonly aborted: boolean
  }
}
`
/** TypeScript 5.4 has it built in; this one, of the same meaning, hides that. */
const noInfer = 'type NoInfer<T> = [T][T extends any ? 0 : never];\n'

/** Members marked `@internal` are not declared, and what only they name is not either; such a constructor is private. */
const hideInternals = {
  name: 'hide-internals',
  transform: (text) =>
    text
      .replace(/\/\*\* @internal.*\*\/\s*constructor\([^;]*\);/g, 'private constructor();')
      .replace(/^ *\/\*\* @internal.*\*\/\n.*;\n/gm, ''),
}

function portable(text) {
  const plain = text.replace(/\b((?:Big)?(?:Uint|Int|Float)\d+(?:Clamped)?Array)<ArrayBuffer(?:Like)?>/g, '$1')
  // a type that a public signature names is public; classes and functions are only where src/index.ts exports them
  const types = [...plain.matchAll(/^(?:declare )?(?:interface|type) ([\w$]+)/gm)].map(([, name]) => name)
  const listed = new Set(
    [...plain.matchAll(/^export (?:type )?\{(.*)\};$/gm)]
      .flatMap(([, names]) => names.split(/, /))
      .map((name) => name.trim().split(' ')[0]),
  )
  const more = types.filter((name) => !listed.has(name))
  return [
    head,
    /\bNoInfer</.test(plain) ? noInfer : '',
    plain,
    more.length ? `export type { ${more.join(', ')} };\n` : '',
  ].join('')
}

export async function buildTypes(out = join(root, 'dist')) {
  const modules = mkdtempSync(join(out, '.types-'))
  try {
    execFileSync(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.types.json'), '--outDir', modules],
      { stdio: 'inherit' },
    )
    const bundle = await rollup({
      input: join(modules, 'src/index.d.ts'),
      external: (id) => !/^[./]/.test(id),
      plugins: [hideInternals, dts({ tsconfig: join(root, 'tsconfig.types.json') })],
    })
    const { output } = await bundle.generate({ format: 'es' })
    await bundle.close()
    const text = portable(output[0].code)
    for (const name of ['index.d.ts', 'index.d.cts']) writeFileSync(join(out, name), text)
    return text
  } finally {
    rmSync(modules, { recursive: true, force: true })
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await buildTypes()
