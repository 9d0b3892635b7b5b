// Folders of the caches: made with all above them, refused where the file system does.
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeFolder } from '../../../runtime/cache/file-layer.ts'

test('makes the folders above, leaves those that exist, and names a file in the way', () => {
  const root = mkdtempSync(join(tmpdir(), 'file-layer-'))
  makeFolder(join(root, 'a/b/c'))
  makeFolder(join(root, 'a/b/c'))
  expect(statSync(join(root, 'a/b/c')).isDirectory()).toBe(true)
  writeFileSync(join(root, 'file'), '')
  for (const name of ['file', 'file/below/it'])
    expect(() => makeFolder(join(root, name))).toThrow(/ENOTDIR|not a folder/)
  rmSync(root, { recursive: true })
})

test.runIf(existsSync('/proc/self'))('ends where a folder takes no new ones (needs /proc)', () => {
  expect(() => makeFolder('/proc/no-such-folder/below')).toThrow(/ENOENT|EACCES|EPERM/)
})
