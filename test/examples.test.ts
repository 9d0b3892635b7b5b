// Every example runs, as a user runs it.
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { packageRoot } from '../ir/package-root.ts'

const folder = join(packageRoot(), 'examples')

/** What each prints, among other lines. */
const expected: Record<string, RegExp> = {
  'attention.mjs': /ops after fusion: kv_append, kv_append, attention\n(tokens .*\n){4}largest difference .*e-\d\n/,
  'chat.mjs': /^you {4}Once upon a time.*\nmodel .+\nyou {4}One day the fox met an owl\.\nmodel .+\n$/,
  'mlp.mjs': /graph @mlp[\s\S]*y = f32\[3,4\][\s\S]*largest difference .*e-\d\n/,
  'own-fused-op.mjs':
    /^144 ops became 48; largest difference \S+e-\d+\nin turns, the parts took \d+\.\d\d times as long as the fused op\n$/,
  'print-graph.mjs': /silu\([\s\S]*swiglu\(/,
  'story.mjs': /^Once upon a time there was a little girl named [\s\S]*\n\n120 tokens in \d+ ms, ended by: length\n$/,
}

test('every example has a line here', () => {
  const programs = readdirSync(folder).filter((name) => name.endsWith('.mjs'))
  expect(programs.sort()).toEqual(Object.keys(expected))
})

test.each(Object.entries(expected))('%s', async (name, text) => {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [join(folder, name)]) // fails on its exit code
  expect(stdout).toMatch(text)
  expect(stderr).toBe('')
})
