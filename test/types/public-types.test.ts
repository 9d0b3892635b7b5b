// The declarations of the package as consumers get them: packed, and checked by the oldest compiler that we promise and by
// ours, with every library checked too (`skipLibCheck` is off).
import { execFile, execFileSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { packageRoot } from '../../ir/package-root.ts'
import * as api from '../../src/index.ts'

const root = packageRoot()
const scratch = mkdtempSync(join(tmpdir(), 'types-'))
const packed = join(scratch, 'node_modules/rocmforge')
let declarations = ''

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'scripts/types.mjs')])
  const pack = ['pack', '--ignore-scripts', '--silent', '--pack-destination', scratch]
  const name = execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }).trim()
  execFileSync('tar', ['-xzf', join(scratch, name), '-C', scratch])
  mkdirSync(dirname(packed))
  renameSync(join(scratch, 'package'), packed)
  for (const entry of readdirSync(join(root, 'node_modules')))
    if (!entry.startsWith('.')) symlinkSync(join(root, 'node_modules', entry), join(scratch, 'node_modules', entry))
  cpSync(join(root, 'test/types/consumers'), scratch, { recursive: true })
  cpSync(join(scratch, 'app.mts'), join(scratch, 'app.ts'))
  writeFileSync(join(scratch, 'package.json'), '{ "type": "module" }')
  declarations = readFileSync(join(packed, 'dist/index.d.ts'), 'utf8')
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const strict = { strict: true, noEmit: true, skipLibCheck: false, skipDefaultLibCheck: true, target: 'es2022' }
interface Setting {
  readonly files: readonly string[]
  readonly options: object
  readonly only?: string
}
const settings: Record<string, Setting> = {
  'Node with its types, imported and required': {
    files: ['app.mts', 'app.cts', 'node.ts'],
    options: { ...strict, module: 'nodenext', moduleResolution: 'nodenext', lib: ['es2022'], types: ['node'] },
  },
  'a bundler, for browsers': {
    files: ['app.ts'],
    options: {
      ...strict,
      module: 'esnext',
      moduleResolution: 'bundler',
      lib: ['es2022', 'dom'],
      types: [],
      exactOptionalPropertyTypes: true,
    },
    only: 'typescript',
  },
  'a bundler, neither DOM nor Node': {
    files: ['app.ts'],
    options: { ...strict, module: 'esnext', moduleResolution: 'bundler', lib: ['es2022'], types: [] },
    only: 'typescript',
  },
  'CommonJS by main and types, ES2018, neither DOM nor Node': {
    files: ['app.ts'],
    options: {
      ...strict,
      target: 'es2018',
      module: 'commonjs',
      moduleResolution: 'node10',
      lib: ['es2018'],
      types: [],
    },
    only: 'typescript-5.2', // later compilers are without this resolution
  },
}

describe.each(['typescript-5.2', 'typescript'])('%s', (compiler) => {
  const chosen = Object.entries(settings).filter(([, { only = compiler }]) => only === compiler)
  test.each(chosen)('%s', async (_, { files, options }) => {
    const project = join(scratch, 'tsconfig.json')
    writeFileSync(project, JSON.stringify({ compilerOptions: options, files }))
    const bin = join(root, 'node_modules', compiler, 'bin/tsc')
    const args = [bin, '-p', project, '--pretty', 'false']
    const said = await new Promise((resolve) => execFile(process.execPath, args, (_error, stdout) => resolve(stdout)))
    expect(said).toBe('')
  })
})

test('the declarations name no package and nothing of Node', () => {
  const code = declarations.replace(/\/\*\*[\s\S]*?\*\//g, '')
  expect(code.match(/^import .*|\bimport\(.*|\b(?:Buffer|NodeJS|z)\b.*|<reference types.*/gm)).toBe(null)
})

test('what is exported as a value is one', () => {
  const listed = /^export \{ (.*) \};$/m
    .exec(declarations)![1]!
    .split(', ')
    .map((name) => name.split(' as ').at(-1)!)
  expect(listed.sort()).toEqual(Object.keys(api).sort())
})

test('every type that a signature names is exported', () => {
  const exported = [...declarations.matchAll(/^export (?:type )?\{ (.*) \};$/gm)].flatMap(([, list]) =>
    list!.split(', '),
  )
  const names = new Set(exported.map((name) => name.split(' as ')[0]!))
  const declared = [...declarations.matchAll(/^(?:declare )?(?:interface|type|class) ([\w$]+)/gm)].map(
    ([, name]) => name!,
  )
  expect(declared.filter((name) => !names.has(name) && name !== 'NoInfer')).toEqual([])
})

test('a CommonJS program requires it', () => {
  writeFileSync(
    join(scratch, 'run.cjs'),
    "console.log(typeof require('rocmforge').compile, require('rocmforge/package.json').name)",
  )
  expect(execFileSync(process.execPath, [join(scratch, 'run.cjs')], { encoding: 'utf8' })).toBe('function rocmforge\n')
})
