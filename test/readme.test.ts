// Scripts of the README run as they stand, and those of docs/script-api.md at least parse, on the Node that runs the tests.
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

const root = packageRoot()
mkdirSync(join(root, 'dist'), { recursive: true })
const folder = mkdtempSync(join(root, 'dist', '.scripts-')) // inside of the package: `rocmforge` names itself there
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const scriptsOf = (page: string) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```(?:ts|js)\n([\s\S]*?)^```$/gm)].map(([, text]) => text!)
function written(text: string): string {
  const file = join(folder, 'script.mjs')
  writeFileSync(file, text)
  return file
}

test('the README has its scripts', () => expect(scriptsOf('README.md').length).toBeGreaterThan(1))

test.each(scriptsOf('README.md').map((text, i) => [i + 1, text] as const))('README, script %i runs', (_, text) => {
  execFileSync(process.execPath, [written(text)], { cwd: root, env: { ...process.env, NODE_NO_WARNINGS: '1' } })
})

test.each(scriptsOf('docs/script-api.md').map((text, i) => [i + 1, text] as const))(
  'docs/script-api.md, script %i parses',
  (_, text) => {
    execFileSync(process.execPath, ['--check', written(text)])
  },
)
