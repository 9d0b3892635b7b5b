import { afterEach, expect, test, vi } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { makeTemporaryFolder } from '../../../runtime/host/temporary-folder.ts'

afterEach(() => vi.unstubAllEnvs())

test('a TMPDIR that is not there is said', () => {
  vi.stubEnv('TMPDIR', '/no-such-folder')
  let caught: unknown
  try {
    makeTemporaryFolder()
  } catch (error) {
    caught = error
  }
  const { code, summary, facts, help } = caught as Diagnostic
  expect({ code, summary, facts, help }).toMatchInlineSnapshot(`
    {
      "code": "cannot-write",
      "facts": [
        [
          "folder",
          "/no-such-folder",
        ],
        [
          "cause",
          "ENOENT: no such file or directory, mkdtemp '/no-such-folder/rocmforge-XXXXXX'",
        ],
      ],
      "help": "name another one in TMPDIR",
      "summary": "the folder for temporary files cannot be written",
    }
  `)
})
