// The table of docs/architecture.md as a test: which folder may import from which.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

/** folder → the folders of ours, and the packages, that it may import besides itself and node: */
const layers: Record<string, { readonly folders: readonly string[]; readonly packages: readonly string[] }> = {
  ir: { folders: [], packages: ['zod'] },
  passes: { folders: ['ir'], packages: ['immer', 'ts-pattern'] },
  codegen: { folders: ['ir'], packages: ['ts-pattern', 'zod'] },
  runtime: { folders: ['ir', 'codegen'], packages: ['koffi', 'zod', 'env-paths', 'ts-pattern'] },
  src: { folders: ['ir', 'passes', 'codegen', 'runtime'], packages: [] },
}

const root = packageRoot()
const filesBelow = (folder: string, endings: RegExp): string[] =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && endings.test(entry.name))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(root.length + 1)
        .replaceAll('\\', '/'),
    )

/** Names in import and export declarations, import() and require(). */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\//g, '')
  const found = text.matchAll(
    /^\s*(?:import|export)\b[^'"`;]*?from\s*['"]([^'"]+)['"]|^\s*import\s*['"]([^'"]+)['"]|\b(?:import|require)\(\s*['"]([^'"]+)['"]/gm,
  )
  return [...found].map((match) => (match[1] ?? match[2] ?? match[3])!)
}

const imports = Object.keys(layers).flatMap((layer) =>
  filesBelow(layer, /\.ts$/).flatMap((file) => importsOf(file).map((name) => ({ layer, file, name }))),
)
const own = imports
  .filter(({ name }) => name.startsWith('.'))
  .map((one) => ({ ...one, to: normalize(join(dirname(one.file), one.name)).replaceAll('\\', '/') }))
const packages = imports.filter(({ name }) => !name.startsWith('.') && !name.startsWith('node:'))

describe('imports', () => {
  test('are found at all', () => {
    for (const layer of Object.keys(layers))
      expect(
        own.some((one) => one.layer === layer),
        layer,
      ).toBe(true)
  })
  test('point down the table of folders', () =>
    expect(
      own
        .filter(({ layer, to }) => ![layer, ...layers[layer]!.folders].includes(to.split('/')[0]!))
        .map(({ file, name }) => `${file}: ${name}`),
    ).toEqual([]))
  test('say the file with its ending', () =>
    expect(own.filter(({ name }) => !name.endsWith('.ts')).map(({ file, name }) => `${file}: ${name}`)).toEqual([]))
  test('take packages that belong to the layer', () =>
    expect(
      packages
        .filter(({ layer, name }) => layer !== 'src' && !layers[layer]!.packages.includes(name))
        .map(({ file, name }) => `${file}: ${name}`),
    ).toEqual([]))
  test('take packages that are dependencies', () => {
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const known = Object.keys(dependencies)
    const listed = (name: string) => known.some((one) => name === one || name.startsWith(`${one}/`))
    expect(packages.filter(({ name }) => !listed(name)).map(({ file, name }) => `${file}: ${name}`)).toEqual([])
  })
  test('take Node’s modules by their full names', () =>
    expect(
      packages.filter(({ name }) => ['fs', 'path', 'os', 'crypto', 'url'].includes(name)).map(({ file }) => file),
    ).toEqual([]))
  test('of koffi stay in runtime/platform', () =>
    expect(
      packages
        .filter(({ name, file }) => name === 'koffi' && !file.startsWith('runtime/platform/'))
        .map(({ file }) => file),
    ).toEqual([]))
})

/** Headers that other folders may include too: what a page table means is said once. */
const shared = ['cache/pages.h']

test('templates include headers of the prelude, or of their own folder, that exist', () => {
  const wrong = filesBelow('hip-templates', /\.(?:hip|h)$/).flatMap((file) =>
    [...readFileSync(join(root, file), 'utf8').matchAll(/^\s*#\s*include\s*([<"][^>"]+[>"])/gm)]
      .map((match) => match[1]!)
      .filter((name) => {
        const path = name.slice(1, -1)
        const near = [dirname(file), 'hip-templates/prelude'].map((folder) => folder.replace(/^hip-templates\//, ''))
        const mayInclude = near.includes(dirname(path)) || shared.includes(path)
        return name.startsWith('<') || !mayInclude || !templates.has(`hip-templates/${path}`)
      })
      .map((name) => `${file}: ${name}`),
  )
  expect(wrong).toEqual([])
})

const templates = new Set(filesBelow('hip-templates', /\.(?:hip|h)$/))
