// Every command works for a user who has no home folder, or one that cannot be written.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { rocmforge, story } from './spawn.ts'

const folder = mkdtempSync(join(tmpdir(), 'no-home-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const unset = { HOME: '', XDG_CACHE_HOME: '', ROCMFORGE_CACHE_DIR: '', ROCMFORGE_CACHE_DIRS: '', TMPDIR: folder }
const preload = { NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'no-home.mjs'))}` }
const own = `rocmforge-${process.getuid?.()}`

test
  .skipIf(process.platform === 'win32')
  .each([
    [['devices', '--json']],
    [['cache', 'ls', '--json']],
    [['run', story, '-p', 'Once', '-n', '2', '-q', '--device', 'reference']],
  ])('without a home: %s', async (args) => {
  const { code, stderr } = await rocmforge(args, { env: { ...unset, ...preload } })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const { stdout } = await rocmforge(['cache', 'ls', '--json'], { env: { ...unset, ...preload } })
  expect(JSON.parse(stdout).root).toBe(join(folder, own))
  expect(readdirSync(folder)).toContain(own)
})

test('a path of `~` is refused', async () => {
  const { code, stderr } = await rocmforge(['run', '~/model.gguf', '-p', 'x'], { env: { ...unset, ...preload } })
  expect(code).toBe(1)
  expect(stderr).toBe(
    'error[no-home-folder]: `~` stands for a home folder, and this user has none\n  path   ~/model.gguf\n  help: give the whole path, or set HOME\n',
  )
})

test('a cache that was named is used', async () => {
  const named = join(folder, 'named')
  const env = { ...unset, ...preload, ROCMFORGE_CACHE_DIR: named }
  expect(JSON.parse((await rocmforge(['cache', 'ls', '--json'], { env })).stdout).root).toBe(named)
})

test.skipIf(process.platform !== 'linux')('a home that cannot be written', async () => {
  const env = { ...unset, HOME: '/proc' } // read-only for root too
  const listed = await rocmforge(['cache', 'ls', '--json'], { env })
  expect({ code: listed.code, root: JSON.parse(listed.stdout).root }).toEqual({
    code: 0,
    root: '/proc/.cache/rocmforge',
  })
  const words = ['run', story, '-p', 'Once', '-n', '2', '-q', '--device', 'reference']
  expect(await rocmforge(words, { env })).toMatchObject({ code: 0, stderr: '' })
})
