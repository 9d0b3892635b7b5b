// Where caches lie, for every way in which a machine may or may not say where a user's home is.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { cacheRoot, homeFolder, privateTemporaryFolder, toolchainRoot } from '../../../runtime/cache/root.ts'

const folder = mkdtempSync(join(os.tmpdir(), 'root-'))
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test.skipIf(process.platform !== 'linux')('what is named is used, else the folder below the home', () => {
  expect(homeFolder({ HOME: '/home/jo' })).toBe('/home/jo')
  expect(cacheRoot({ HOME: '/home/jo' })).toBe('/home/jo/.cache/rocmforge')
  expect(cacheRoot({ HOME: '/home/jo', XDG_CACHE_HOME: '/var/jo' })).toBe('/var/jo/rocmforge')
  expect(cacheRoot({ HOME: '/home/jo', XDG_CACHE_HOME: 'relative' })).toBe('/home/jo/.cache/rocmforge')
  expect(cacheRoot({ HOME: '/home/jo', ROCMFORGE_CACHE_DIR: '/var/kernels' })).toBe('/var/kernels')
  expect(toolchainRoot({ HOME: '/home/jo' })).toBe('/home/jo/.cache/rocmforge/toolchains')
  expect(toolchainRoot({ HOME: '/home/jo', ROCMFORGE_TOOLCHAINS: '/opt/rtc' })).toBe('/opt/rtc')
})

test.skipIf(process.platform === 'win32')('the folder among temporary files is made for this user alone', () => {
  mkdirSync(folder)
  const uid = process.getuid!()
  const made = privateTemporaryFolder(uid, folder)
  expect(made).toBe(join(folder, `rocmforge-${uid}`))
  expect(statSync(made).mode & 0o777).toBe(0o700)
  expect(privateTemporaryFolder(uid, folder)).toBe(made) // again
  expect(privateTemporaryFolder(uid, join(folder, 'absent'))).toBe(join(folder, 'absent', `rocmforge-${uid}`))
})

const strangers: Record<string, (path: string) => void> = {
  'a folder that others may write': (path) => {
    mkdirSync(path)
    chmodSync(path, 0o777)
  },
  'a link': (path) => symlinkSync(os.tmpdir(), path),
  'a file': (path) => writeFileSync(path, ''),
}
test.skipIf(process.platform === 'win32').each(Object.entries(strangers))('%s in its place is refused', (_, make) => {
  mkdirSync(folder)
  const uid = process.getuid!()
  make(join(folder, `rocmforge-${uid}`))
  let message = ''
  try {
    privateTemporaryFolder(uid, folder)
  } catch (error) {
    message = String((error as Error).message)
  }
  const named = message.replaceAll(folder, '/tmp').replaceAll(/(rocmforge-|user )\d+/g, '$11234')
  expect(named).toBe(
    [
      'error[no-cache-folder]: there is no home folder, and the folder for temporary files cannot be trusted with a cache',
      '  folder   /tmp/rocmforge-1234',
      '  expected a folder that only user 1234 may write',
      '  help: set ROCMFORGE_CACHE_DIR to a folder of this user, or set HOME',
    ].join('\n'),
  )
})
