// rocmforge bench: a made-up model measured on the host, what is printed, and how it ends when it ends early.
import { expect, test } from 'vitest'
import type { BenchResult } from '../../../src/bench/result.ts'
import { rocmforge, signalGroup, story } from './spawn.ts'

const tiny = ['bench', '--shape', 'tiny', '--device', 'host']
const quick = ['--tokens', '4', '--rounds', '2', '--prompt', '16']

test('--json: one object with every figure', async () => {
  const args = [...tiny, ...quick, '--contexts', '40,8', '--batch', '1,2', '--weights', 'q4_k', '--json']
  const { code, stdout } = await rocmforge(args)
  expect(code).toBe(0)
  const result: BenchResult = JSON.parse(stdout)
  expect(result).toMatchObject({ version: 2, interrupted: false, skipped: [], plainFileRead: null })
  expect(result.device.id).toBe('host')
  expect(result.model).toMatchObject({ architecture: 'llama', random: true, weights: 'q4_k' })
  expect(result.loads.map(({ batch }) => batch)).toEqual([1, 2])
  expect(result.prefill.map(({ tokens }) => tokens)).toEqual([16])
  expect(result.decode.map(({ batch, context }) => [batch, context])).toEqual([
    [1, 8],
    [1, 40],
    [2, 8],
    [2, 40],
  ])
  for (const one of result.decode) {
    expect(one.tokensPerSecond).toBeCloseTo((1e3 * one.batch) / one.ms.median, 0)
    expect(one.mbu).toBeCloseTo(
      (one.bytes.weights + one.bytes.kv) / (one.ms.median / 1e3) / (result.readBandwidth!.gbPerSecond * 1e9),
    )
    expect(one.deviceMs!.p99).toBeGreaterThanOrEqual(one.deviceMs!.median)
    expect(one.profile!.kernels.map(({ part }) => part)).toContain('ffn_down')
  }
  const [short, long] = result.decode
  expect(long!.bytes).toEqual({ weights: short!.bytes.weights, kv: expect.any(Number) })
  expect(long!.bytes.kv / short!.bytes.kv).toBeCloseTo(42 / 10) // behind so many tokens, in the middle of a round
})

test('tables for people, progress on standard error', async () => {
  const { code, stdout, stderr } = await rocmforge([
    'bench',
    story,
    '--device',
    'host',
    ...quick,
    '--contexts',
    '8',
    '--kernels',
  ])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^memory {3}[\d.]+ GB\/s by a plain read of [\d.]+ MB$/m)
  expect(stdout).toMatch(/^load .*a plain read of the file [\d.]+ GB\/s/m)
  expect(stdout).toMatch(/^context +batch +tokens\/s +a request +ms a step/m)
  expect(stdout).toMatch(/^decode, context 8, batch 1: [\d.]+ ms in kernels, -?[\d.]+ ms in gaps$/m)
  expect(stdout).toMatch(/^gemv\w* +\S+ .*█/m)
  expect(stderr).toMatch(/^bench {4}batch 1, context 8: [\d.]+ tokens\/s, MBU \d+ %$/m)
})

test('what does not fit is left out, with the reason', async () => {
  const { code, stdout, stderr } = await rocmforge([...tiny, ...quick, '--contexts', '8,2000000000', '-q'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout).toMatch(/^left out: context 2000000000, batch 1: needs [\d.]+ GiB .* context \d+ would fit$/m)
  const none = await rocmforge([...tiny, ...quick, '--contexts', '2000000000', '-q'])
  expect(none.code).toBe(1)
  expect(none.stderr).toMatch(/^error\[out-of-memory\]: nothing that was asked for fits/)
})

test('Ctrl-C prints what was measured so far', async () => {
  const many = ['--tokens', '2', '--rounds', '1', '--contexts', Array.from({ length: 2000 }, (_, i) => i).join()]
  const { code, stdout } = await rocmforge([...tiny, ...many, '--prompt', '16'], {
    onStart: (child) =>
      child.stderr!.on('data', (text: string) => text.includes('context 3:') && signalGroup(child, 'SIGINT')),
  })
  expect(code).toBe(130)
  expect(stdout).toMatch(/^ +3 +1 /m)
  expect(stdout).toMatch(/^interrupted: the rest was not measured$/m)
})

test.each([
  [['--shape', 'llama-9b'], 'error[unknown-shape]: there is no shape llama-9b', 'llama-8b'],
  [['--shape', 'tiny', '--weights', 'q3_k'], '--weights takes one of bf16', 'did you mean q4_k?'],
  [[], 'there is nothing to measure', '--shape llama-1b'],
  [[story, '--shape', 'tiny'], 'a model and --shape were given', 'bench --help'],
  [[story, '--weights', 'q4_0'], 'a file has weights of its own', '--shape'],
  [['--shape', 'tiny', '--batch', '64'], '--batch takes a whole number from 1 to 32', 'got    64'],
  [['--shape', 'tiny', '--contexts', '1,x'], '--contexts takes a whole number from 0 up', 'got    x'],
  [['--shape', 'tiny', '--device', 'reference'], 'the reference executor is not measured', 'rocmforge devices'],
])('%s', async (words, message, help) => {
  const { code, stdout, stderr } = await rocmforge(['bench', ...words])
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(message)
  expect(stderr).toContain(help)
})
