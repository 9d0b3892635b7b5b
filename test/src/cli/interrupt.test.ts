// Interrupting `rocmforge run` at any moment leaves the caches usable: the next run goes on from what is there and tells
// the same story.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { findHostCompiler } from '../../../runtime/host/compiler.ts'
import { storyRuns } from '../../models.ts'
import { rocmforge, signalGroup, story } from './spawn.ts'

const cache = mkdtempSync(join(tmpdir(), 'rocmforge-interrupt-'))
const opening = storyRuns['story-3m'][0]!
const args = ['run', story, '-p', opening.prompt, '-n', '16', '--json', '--device', 'host']
const env = { XDG_CACHE_HOME: cache }
let compiler = true

beforeAll(async () => {
  compiler = await findHostCompiler().then(
    () => true,
    () => false,
  )
})
afterAll(() => rmSync(cache, { recursive: true, force: true }))

test('killed again and again, then run in peace', async ({ skip }) => {
  if (!compiler) skip('no C++ compiler on this machine')
  // moments spread over start, library build, kernel compiles and cache writes of one cold start
  for (const [signal, ms] of [
    ['SIGINT', 250],
    ['SIGKILL', 900],
    ['SIGTERM', 1700],
    ['SIGKILL', 2600],
    ['SIGINT', 3500],
  ] as const) {
    const { code, stdout } = await rocmforge(args, {
      env,
      onStart: (child) => setTimeout(() => signalGroup(child, signal), ms),
    })
    // null: killed, or interrupted before Node could listen; 0: it was quicker than we
    expect([null, 0, 130, 143]).toContain(code)
    if (code !== 0 && stdout !== '') expect(JSON.parse(stdout).reason).toBe('aborted')
  }
  const [first, second] = await Promise.all([rocmforge(args, { env }), rocmforge(args, { env })]) // two at once
  for (const { code, stdout, stderr } of [first, second]) {
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout).tokenIds).toEqual(opening.token_ids.slice(0, 16))
  }
  const warm = JSON.parse((await rocmforge(args, { env })).stdout)
  expect(warm.timings.kernelsFromCache).toBe(warm.timings.kernels)
  expect(warm.tokenIds).toEqual(opening.token_ids.slice(0, 16))
})
