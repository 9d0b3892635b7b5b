// rocmforge run: what goes to which stream, and how it ends.
import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { storyRuns } from '../../models.ts'
import { cli, rocmforge, signalGroup, story } from './spawn.ts'

const opening = storyRuns['story-3m'][0]!
const onReference = ['--device', 'reference']

test('the text goes to standard output, all else to standard error', async () => {
  const { code, stdout, stderr } = await rocmforge(['run', story, '-p', opening.prompt, '-n', '8', ...onReference])
  expect(code).toBe(0)
  expect(stdout.startsWith(opening.prompt)).toBe(true)
  expect(`${opening.prompt}${opening.text}`.startsWith(stdout.trimEnd())).toBe(true)
  expect(stderr).toMatch(/^device {3}reference: reference executor$/m)
  expect(stderr).toMatch(/^graph {4}\d+ ops, after fusion \d+$/m)
  expect(stderr).toMatch(/first token after [\d.]+ s · prompt \d+ tokens, \d+ tokens\/s · 8 tokens/)
  expect(stderr).not.toContain('\x1b') // no cursor movements outside of a terminal
})

test('--json: one object on standard output, nothing on standard error', async () => {
  const args = ['run', story, '-p', opening.prompt, '-n', '8', '--json', ...onReference]
  const { code, stdout, stderr } = await rocmforge(args)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const result = JSON.parse(stdout)
  expect(result).toMatchObject({
    promptIds: opening.prompt_ids,
    tokenIds: opening.token_ids.slice(0, 8),
    reason: 'length',
    device: 'reference',
  })
  expect(opening.text.startsWith(result.text)).toBe(true)
  expect(Object.keys(result.timings)).toEqual(
    expect.arrayContaining(['prefillTokensPerSecond', 'decodeTokensPerSecond', 'firstTokenMs', 'loadMs']),
  )
})

test('--no-bos, --bos and --parse-special say how the prompt becomes tokens', async () => {
  const promptIds = async (...flags: string[]) => {
    const args = ['run', story, '-p', 'Once<|eos|>', '-n', '0', '--json', ...flags, ...onReference]
    return JSON.parse((await rocmforge(args)).stdout).promptIds as number[]
  }
  const usual = await promptIds()
  expect(usual[0]).toBe(1)
  expect(usual).not.toContain(2)
  expect(await promptIds('--no-bos')).toEqual(usual.slice(1))
  const [bos, once, eos, ...more] = await promptIds('--bos', '--parse-special')
  expect({ bos, once, eos, more }).toEqual({ bos: 1, once: usual[1], eos: 2, more: [] })
})

test('the prompt may come from standard input; --quiet leaves the text alone', async () => {
  const args = ['run', story, '-n', '4', '--quiet', ...onReference]
  const { code, stdout, stderr } = await rocmforge(args, { stdin: `${opening.prompt}\n` })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.startsWith(`${opening.prompt}`)).toBe(true)
})

test('a seed gives the same text again, in any folder', async () => {
  const args = ['run', story, '-p', 'Once', '-n', '12', '--temp', '0.8', '--seed', '11', '-q', ...onReference]
  const [first, second] = await Promise.all([rocmforge(args), rocmforge(args, { cwd: '/' })])
  expect(second).toEqual(first)
})

test('--print-graph prints the fused graph, --print-after what a pass changed', async () => {
  const after = ['--print-after', 'fuse-swiglu']
  const { code, stdout, stderr } = await rocmforge(['run', story, '--print-graph', ...after, '-q', ...onReference])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^graph @decode\(/)
  expect(stdout).toContain('= rope_attention(')
  expect(stderr).toMatch(/^fuse-swiglu +\d+ → \d+ ops, \d+ → \d+ kernels, .* a step$/m)
  expect(stderr).toMatch(/^- .* = silu\(/m)
  expect(stderr).toMatch(/^\+ .* = swiglu\(/m)
})

describe('a reader that goes away', () => {
  test('ends the program quietly', async () => {
    const args = ['run', story, '-p', 'Once', '-n', '400', '--ignore-eos', ...onReference]
    const { code, stderr } = await rocmforge(args, {
      onStart: ({ stdout }) => stdout?.once('data', () => stdout.destroy()),
    })
    expect(code).toBe(0)
    expect(stderr).not.toMatch(/error|EPIPE/i)
  })
})

test.runIf(existsSync('/dev/full'))('a full disk behind standard output is one error (needs /dev/full)', () => {
  const full = openSync('/dev/full', 'w')
  const args = [cli, 'run', story, '-p', 'Once', '-n', '1', '-q', ...onReference]
  const { status, stderr } = spawnSync(process.execPath, args, { stdio: ['ignore', full, 'pipe'], encoding: 'utf8' })
  closeSync(full)
  expect(status).toBe(1)
  expect(stderr).toMatch(/^error\[cannot-write\]: standard output cannot be written\n {2}cause .*\n {2}help: .*\n$/)
})

test.each([
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)('%s while it writes: exit code %i, and what was written stays', async (signal, expected) => {
  const args = ['run', story, '-p', 'Once', '-n', '400', '--ignore-eos', ...onReference]
  const { code, stdout, stderr } = await rocmforge(args, {
    onStart: (child) => child.stdout?.once('data', () => setTimeout(() => signalGroup(child, signal), 300)),
  })
  expect(code).toBe(expected)
  expect(stdout).toMatch(/^Once/)
  expect(stderr).toMatch(/tokens\/s · interrupted/)
})
