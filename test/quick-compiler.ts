// A C++ compiler that optimises little, for tests of everything but the code of kernels: they wait a third as long for it.
// Kernels as they ship are held to their references by runtime/kernels, and whole models by e2e/stories.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { findHostCompiler } from '../runtime/host/compiler.ts'

/** What to put into the environment, until the tests of this file are over; nothing where there is no compiler. */
export async function quickCompiler(): Promise<{ readonly ROCMFORGE_CXX?: string }> {
  const found = await findHostCompiler().catch(() => undefined)
  if (!found || process.platform === 'win32') return {}
  const folder = mkdtempSync(join(tmpdir(), 'quick-compiler-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'c++')
  writeFileSync(path, `#!/bin/sh\nexec ${found.command.join(' ')} "$@" -Og\n`)
  chmodSync(path, 0o755)
  return { ROCMFORGE_CXX: path }
}
