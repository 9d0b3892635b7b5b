// What a file exports, another imports: read from the import and export lines of every file. What src/index.ts exports is for
// users; a name that only its own file uses is not exported, and one that nobody uses goes.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

const root = packageRoot()
const ours = ['ir', 'passes', 'codegen', 'runtime', 'src']
const texts = new Map(
  [...ours, 'test', 'bench', 'scripts', 'examples'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.[mc]?[tj]s$/.test(name))
      .map((name) => [join(folder, name), readFileSync(join(root, folder, name), 'utf8')] as const),
  ),
)

const all = (text: string, pattern: RegExp): string[][] => [...text.matchAll(pattern)].map((found) => [...found])
/** `{ a, type b as c }` → the names before or after `as` */
const listed = (list: string, side: 0 | -1): string[] =>
  list
    .replaceAll(/\/\/.*|[{}]/g, '')
    .split(',')
    .flatMap(
      (one) =>
        one
          .trim()
          .replace(/^type /, '')
          .split(' as ')
          .at(side) || [],
    )

const exported =
  /^export (?:(?:declare |async |abstract )*(?:const|let|function\*?|class|type|interface) (\w+)|(?:type )?(\{[^}]*\}))/gm
const from = /\b(import|export)\s+(?:type\s+)?(\*(?: as \w+)?|\{[^}]*\})\s*from\s*['"](\.[^'"]+)['"]/g
/** `file name` of each name that is used; `file *` where every one is */
const used = new Set<string>()
/** `export * from` */
const passedOn: [file: string, target: string][] = []
for (const [file, text] of texts) {
  const members = all(text, /(?:\.|\{ )(\w+)/g).map(([, name]) => name!)
  const use = (path: string, names: readonly string[]) => {
    const paths = [join(dirname(file), path), join(path)] // a program that a test holds as text runs in the root
    for (const name of names) for (const target of paths) used.add(`${target} ${name}`)
  }
  for (const [, kind, what, path] of all(text, from)) {
    if (what === '*') passedOn.push([file, join(dirname(file), path!)])
    else use(path!, what!.startsWith('{') ? listed(what!, 0) : kind === 'export' ? ['*'] : members)
  }
  for (const [, path] of all(text, /\bimport\(\s*['"](\.[^'"]+)['"]/g)) use(path!, members)
}
for (const _ of [1, 2])
  for (const [file, target] of passedOn)
    for (const one of [...used].filter((one) => one.startsWith(`${file} `))) used.add(one.replace(file, target))

test('every export is imported somewhere', () => {
  const checked = [...texts].filter(
    ([file]) => ours.includes(file.split(/[\\/]/)[0]!) && file !== join('src', 'index.ts'),
  )
  const found = checked.flatMap(([file, text]) =>
    all(text, exported).flatMap(([, name, list]) => (list ? listed(list, -1) : [name]).map((one) => `${file} ${one}`)),
  )
  expect(found.length).toBeGreaterThan(1000)
  expect(found.filter((one) => !used.has(one) && !used.has(`${one.split(' ')[0]} *`))).toEqual([])
})
