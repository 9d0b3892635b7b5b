// Imports point one way: ir ← passes, codegen ← runtime ← src. Read from the import lines of every file.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { describe, expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

/** What each folder may import of ours, besides itself. */
const layers: Record<string, readonly string[]> = {
  ir: [],
  passes: ['ir'],
  codegen: ['ir'],
  runtime: ['ir', 'codegen'],
  src: ['ir', 'passes', 'codegen', 'runtime'],
}
/** The rooms of runtime/: a file imports its own room and those that stand before it. */
const rooms = ['cache', 'code-object', 'host', 'platform', 'compile', 'execute', 'inspect']
const root = packageRoot()

interface Import {
  /** path of the importing file, from the package's folder */
  readonly file: string
  /** a file likewise, or a package as it is named */
  readonly target: string
}

const imports: readonly Import[] = Object.keys(layers).flatMap((layer) =>
  readdirSync(join(root, layer), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) => importsOf(join(layer, name))),
)

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found = text.matchAll(/(?:^(?:import|export)\s(?:[^'"]*?\sfrom\s)?|\bimport\()\s*['"]([^'"]+)['"]/gm)
  return [...found].map(([, target = '']) => ({
    file,
    target: target.startsWith('.') ? relative(root, join(root, dirname(file), target)) : target,
  }))
}

const folderOf = (path: string): string => path.split(sep, 1)[0]!
const shown = (found: readonly Import[]) => found.map(({ file, target }) => `${file} imports ${target}`)

test('the imports were read', () => expect(imports.length).toBeGreaterThan(500))

describe.each(Object.entries(layers))('%s', (layer, allowed) => {
  test(`imports ${allowed.join(', ') || 'nothing of ours'}`, () => {
    const ours = imports.filter(({ file, target }) => folderOf(file) === layer && folderOf(target) in layers)
    expect(shown(ours.filter(({ target }) => ![layer, ...allowed].includes(folderOf(target))))).toEqual([])
  })
})

const roomOf = (path: string): string | undefined => (folderOf(path) === 'runtime' ? path.split(sep)[1] : undefined)

test('every file of runtime/ lies in a room', () => {
  const loose = readdirSync(join(root, 'runtime')).filter((name) => !rooms.includes(name))
  expect(loose).toEqual([])
})

test.each(rooms)('runtime/%s imports no room that stands behind it', (room) => {
  const behind = rooms.slice(rooms.indexOf(room) + 1)
  expect(
    shown(imports.filter(({ file, target }) => roomOf(file) === room && behind.includes(roomOf(target)!))),
  ).toEqual([])
})

test('kernel specs lie in folders named as those of their templates', () => {
  const folders = readdirSync(join(root, 'codegen/kernels'), { withFileTypes: true }).filter((entry) =>
    entry.isDirectory(),
  )
  for (const { name } of folders)
    for (const file of readdirSync(join(root, 'codegen/kernels', name))) {
      const text = readFileSync(join(root, 'codegen/kernels', name, file), 'utf8')
      const templates = [...text.matchAll(/template: '([^'/]+)\//g)].map(([, folder]) => folder)
      expect(`${name}/${file}: ${[...new Set(templates)].filter((folder) => folder !== name)}`).toBe(
        `${name}/${file}: `,
      )
    }
})

test('nothing is imported from tests, examples or builds', () => {
  const outside = imports.filter(({ target }) =>
    ['test', 'examples', 'dist', 'bench', 'scripts'].includes(folderOf(target)),
  )
  expect(shown(outside)).toEqual([])
})

test('koffi is known to runtime/platform alone', () => {
  const users = imports.filter(
    ({ file, target }) => target === 'koffi' && !file.startsWith(join('runtime', 'platform')),
  )
  expect(shown(users)).toEqual([])
})

test('local imports name the file with its extension', () => {
  const local = imports.filter(({ target }) => folderOf(target) in layers)
  expect(shown(local.filter(({ target }) => !target.endsWith('.ts')))).toEqual([])
})
