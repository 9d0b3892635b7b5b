// Writes the public declarations as one file: dist/index.d.ts for importers, dist/index.d.cts, the same, for `require`.
//
// The compiler declares every module, rollup keeps what src/index.ts exports and what that needs. What is left must mean the
// same to every compiler from TypeScript 5.2 on, without @types/node, DOM or a newer `lib`: `portable` sees to it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
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

/** `index`: the declarations of src/index.ts, which say what is exported as a type only. */
function portable(text, index) {
  const plain = namespacesNamed(text).replace(/\b(\w+Array)<ArrayBuffer(?:Like)?>/g, '$1') // generic since TypeScript 5.7
  const [, listed] = /^export \{ (.*) \};$/m.exec(plain)
  const typeOnly = new Set(
    [...index.matchAll(/^export type \{([^}]*)\}|\btype (\w+)/gm)].flatMap(([, list, name]) =>
      list ? list.split(',').map((one) => one.trim()) : [name],
    ),
  )
  const values = listed.split(', ').filter((name) => !typeOnly.has(name))
  const [, listedTypes = ''] = /^export type \{ (.*) \};$/m.exec(plain) ?? []
  const known = [...values, ...listedTypes.split(', ')].map((name) => name.split(' ')[0])
  // a type that a public signature names is public
  const declared = [...plain.matchAll(/^(?:declare )?(?:interface|type|class) ([\w$]+)/gm)].map(([, name]) => name)
  const types = [...listedTypes.split(', '), ...declared.filter((name) => !known.includes(name))].sort()
  return [
    head,
    /\bNoInfer</.test(plain) ? noInfer : '',
    plain.replace(/^export (type )?\{.*\};\n/gm, ''),
    `export { ${values.join(', ')} };\nexport type { ${types.join(', ')} };\n`,
  ].join('')
}

/** Namespaces under the names they are exported by, not under those of their files. */
function namespacesNamed(text) {
  const named = [...text.matchAll(/(index_d(?:\$\d+)?) as (\w+)/g)]
  return named.reduce(
    (result, [, local, name]) =>
      result
        .replaceAll(`${local} as ${name}`, name)
        .replace(new RegExp(`(?<![\\w$])${local.replace('$', '\\$')}(?![$\\d])`, 'g'), name),
    text,
  )
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
    const text = portable(output[0].code, readFileSync(join(modules, 'src/index.d.ts'), 'utf8'))
    for (const name of ['index.d.ts', 'index.d.cts']) writeFileSync(join(out, name), text)
    return text
  } finally {
    rmSync(modules, { recursive: true, force: true })
  }
}

if (process.argv[1] && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) await buildTypes()
