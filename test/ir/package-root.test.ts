// A bundle that took our code with it says what a bundler must leave outside.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import { afterAll, expect, test } from 'vitest'
import { packageRoot, packageRootAbove } from '../../ir/package-root.ts'

const scratch = mkdtempSync(join(tmpdir(), 'bundled-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))
const stable = (text: string) => text.replaceAll(scratch, '<scratch>')

test.each(['esm', 'cjs'] as const)('a bundle as %s', async (format) => {
  const app = `
    import { compile } from ${JSON.stringify(join(packageRoot(), 'dist/index.js'))}
    compile(${JSON.stringify(join(packageRoot(), 'models/story-3m'))}, { device: 'host' })
      .catch((error) => process.stdout.write(error.message))`
  const outfile = join(scratch, format === 'esm' ? 'app.mjs' : 'app.cjs')
  const stdin = { contents: app, resolveDir: packageRoot() }
  await build({ stdin, bundle: true, platform: 'node', format, outfile, logLevel: 'error' })
  const said = execFileSync(process.execPath, [outfile], { encoding: 'utf8', timeout: 60_000 })
  expect(stable(said)).toMatchSnapshot()
})

test('a copy of the package without its templates', () => {
  const copy = join(scratch, 'node_modules/rocmforge')
  mkdirSync(join(copy, 'dist'), { recursive: true })
  writeFileSync(join(copy, 'package.json'), '{ "name": "rocmforge" }')
  expect(() => packageRootAbove(pathToFileURL(join(copy, 'dist/index.js')).href)).toThrow(
    'rocmforge cannot run from inside a bundle: the folder of the package has no kernel templates',
  )
})

test('manifests of others on the way, also ones that cannot be parsed, are passed by', () => {
  writeFileSync(join(scratch, 'package.json'), '// not JSON')
  expect(() => packageRootAbove(pathToFileURL(join(scratch, 'app.mjs')).href)).toThrow('outside of the folder')
  expect(packageRootAbove(pathToFileURL(join(packageRoot(), 'dist/index.js')).href)).toBe(packageRoot())
})
