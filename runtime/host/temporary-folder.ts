// Where a compiler leaves its output before it is read.
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fail } from '../../ir/diagnostic.ts'

/** A new folder, which the caller removes. Throws the Diagnostic `cannot-write`. */
export function makeTemporaryFolder(): string {
  try {
    return mkdtempSync(join(tmpdir(), 'rocmforge-'))
  } catch (error) {
    return fail(
      {
        code: 'cannot-write',
        message: 'the folder for temporary files cannot be written',
        facts: [
          ['folder', tmpdir()],
          ['cause', error instanceof Error ? error.message : String(error)],
        ],
        help: 'name another one in TMPDIR',
      },
      error,
    )
  }
}
