// The GPU suite runs on the host too: a part of it here, so that it never rots between two GPUs.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

test('checks the driver and launches on the host, and writes its report', () => {
  const out = mkdtempSync(join(tmpdir(), 'rocmforge-gpu-suite-'))
  try {
    const script = join(packageRoot(), 'scripts/test-gpu.mjs')
    const args = ['--device', 'host', '--quick', '--only', 'driver,launches', '--out', out]
    const run = spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' })
    expect(run.stdout + run.stderr).toMatch(/\n\d+ passed, 0 failed, \d+ skipped\n$/)
    expect(run.status).toBe(0)
    const report = readFileSync(join(out, 'gpu-report.md'), 'utf8')
    expect(report).toContain('enqueueing a launch of six arguments from TypeScript')
    expect(report).toContain('✓ a captured graph replays its launches')
  } finally {
    rmSync(out, { recursive: true, force: true })
  }
})
