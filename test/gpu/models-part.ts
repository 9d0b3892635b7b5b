// Speed of whole models with random weights: decode and prefill, what memory alone would allow, where the time goes, and
// the time from the start of a process to its first token.
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { evaluate } from '../../codegen/extent.ts'
import { buffersOf } from '../../codegen/program.ts'
import { measureReadBandwidth } from '../../runtime/inspect/read-bandwidth.ts'
import { compile } from '../../src/api/compile.ts'
import type { Model } from '../../src/api/model.ts'
import { weightBytesRead } from '../../src/bench/bytes.ts'
import type { CompileOptions } from '../../src/options.ts'
import { randomGguf, randomModel, type ShapeName } from './random-model.ts'
import { median, type Suite } from './suite.ts'
import { kernelTimes, type SuiteDevice } from './suite-device.ts'

export interface ModelsOptions {
  readonly scratch: string
  readonly shapes: readonly ShapeName[]
  /** tokens of the prompt behind which decoding is timed, and how many are generated */
  readonly context: number
  readonly tokens: number
  readonly prefill: number
}

const promptOf = (tokens: number, vocab: number): number[] =>
  Array.from({ length: tokens }, (_, i) => 3 + ((i * 37) % (vocab - 3)))

export async function modelsPart(suite: Suite, device: SuiteDevice, options: ModelsOptions): Promise<void> {
  for (const shape of options.shapes) {
    const start = performance.now()
    const folder = randomModel(options.scratch, shape)
    suite.note(`${shape}: weights written in ${((performance.now() - start) / 1e3).toFixed(1)} s`)
    await oneModel(suite, device, options, `${shape} bf16`, folder, { activations: 'bf16' })
    await oneModel(suite, device, options, `${shape} bf16, f32 activations`, folder, {})
    for (const type of ['Q8_0', 'Q4_0'] as const)
      await oneModel(suite, device, options, `${shape} ${type}`, randomGguf(options.scratch, shape, type), {})
  }
}

async function oneModel(
  suite: Suite,
  device: SuiteDevice,
  { context, tokens, prefill }: ModelsOptions,
  title: string,
  path: string,
  options: CompileOptions,
): Promise<void> {
  await suite.check(`${title}: loads and generates`, async () => {
    const settings = { ...options, context: 2048, chunk: 512 }
    const start = performance.now()
    await using model = await compile(path, { ...settings, device, onNote: (note) => suite.note(note) })
    const loaded = (performance.now() - start) / 1e3
    const vocab = model.config.vocabSize
    const prompt = { tokens: promptOf(context, vocab) }
    const generate = async (maxTokens: number) =>
      (await model.generate(prompt, { maxTokens, ignoreEos: true, temperature: 0 }).result()).timings
    await generate(8)
    const times: number[] = []
    for (let round = 0; round < 3; round++) {
      const { decodeMs, decodedTokens } = await generate(tokens)
      times.push(decodeMs / decodedTokens)
    }
    const stepMs = median(times)
    const bytes = bytesRead(model, context + tokens / 2)
    const bandwidth = (await measureReadBandwidth(device, bytes)).bytesPerSecond
    suite.figure({
      name: `${title}: decode behind ${context} tokens`,
      value: 1e3 / stepMs,
      unit: 'tokens/s',
      note: `${stepMs.toFixed(3)} ms a step, ${model.graph.program().calls.length} launches; loaded in ${loaded.toFixed(1)} s`,
    })
    suite.figure({
      name: `${title}: share of a plain read of the same ${(bytes / 1e9).toFixed(2)} GB (${(bandwidth / 1e9).toFixed(0)} GB/s)`,
      value: bytes / (stepMs / 1e3) / bandwidth,
      unit: '',
    })

    const long = promptOf(prefill, vocab)
    await model.logits(long)
    const prefills: number[] = []
    for (let round = 0; round < 2; round++) {
      const begin = performance.now()
      await model.logits(long)
      prefills.push(performance.now() - begin)
    }
    const ms = Math.min(...prefills)
    const flops = flopsOf(model, prefill)
    suite.figure({
      name: `${title}: prefill of ${prefill} tokens`,
      value: prefill / (ms / 1e3),
      unit: 'tokens/s',
      note: `${ms.toFixed(1)} ms, ${(flops / (ms / 1e3) / 1e12).toFixed(1)} TFLOP/s`,
    })
    await profile(suite, device, title, path, settings, prompt.tokens, long)
  })
}

/** Weight bytes that a decode step reads, and the cache behind `length` tokens. */
function bytesRead(model: Model, length: number): number {
  const program = model.graph.program('decode')
  const caches = buffersOf(program, 'state').filter(({ id }) => id.includes('cache'))
  return weightBytesRead(program) + caches.reduce((sum, { bytes }) => sum + (bytes * length) / model.context, 0)
}

function flopsOf(model: Model, T: number): number {
  const program = model.graph.program('sample')
  return program.calls
    .filter(({ op }) => op.startsWith('matmul'))
    .reduce((sum, { cost }) => sum + evaluate(cost.flops, { ...program.limits, T, R: 1 }), 0)
}

/** Device time by kernel, launch by launch with an event on either side; gaps between launches do not show in it. */
async function profile(
  suite: Suite,
  device: SuiteDevice,
  title: string,
  path: string,
  settings: CompileOptions,
  prompt: readonly number[],
  long: readonly number[],
): Promise<void> {
  await using model = await compile(path, { ...settings, replay: false, device })
  const steps = 8
  await model.generate({ tokens: prompt }, { maxTokens: 4, ignoreEos: true }).result()
  const run = (maxTokens: number) => async () => {
    await model.generate({ tokens: prompt }, { maxTokens, ignoreEos: true, temperature: 0 }).result()
    device.driver.synchronize()
  }
  const before = await kernelTimes(device.launchTimer, run(1))
  const both = await kernelTimes(device.launchTimer, run(1 + steps))
  const decode = both
    .map((time) => {
      const other = before.find(({ kernel, shape }) => kernel === time.kernel && shape === time.shape)
      return { ...time, launches: time.launches - (other?.launches ?? 0), ms: time.ms - (other?.ms ?? 0) }
    })
    .filter(({ launches }) => launches > 0)
    .sort((a, b) => b.ms - a.ms)
  suite.note(`${title}, a decode step by kernel:\n${table(decode, steps)}`)
  const prefill = await kernelTimes(device.launchTimer, async () => {
    await model.logits(long)
    device.driver.synchronize()
  })
  suite.note(`${title}, prefill of ${long.length} tokens by kernel:\n${table(prefill.slice(0, 8), 1)}`)
}

const table = (
  times: readonly { kernel: string; shape: string; launches: number; ms: number }[],
  steps: number,
): string => {
  const rows = times.map(({ kernel, shape, launches, ms }) =>
    [kernel, shape, launches / steps, (ms / steps).toFixed(3), ((ms * 1e3) / launches).toFixed(1)].join(' | '),
  )
  const total = times.reduce((sum, { ms }) => sum + ms, 0) / steps
  return [
    '| kernel | blocks × threads | launches | ms | µs each |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map((row) => `| ${row} |`),
    `| sum | | | ${total.toFixed(3)} | |`,
  ].join('\n')
}

/** A process of its own: from its start to its first token. */
export async function firstTokenPart(
  suite: Suite,
  device: SuiteDevice,
  scratch: string,
  shape: ShapeName,
): Promise<void> {
  const folder = randomModel(scratch, shape)
  const cache = join(scratch, 'first-token-cache')
  rmSync(cache, { recursive: true, force: true })
  for (const state of ['cold', 'warm', 'warm again'] as const) {
    const { ms, phases } = await firstToken(folder, device.id, cache)
    suite.figure({
      name: `process start to first token, ${shape} shape, kernel cache ${state}`,
      value: ms / 1e3,
      unit: 's',
      note: Object.entries(phases)
        .map(([name, at]) => `${name} at ${(at / 1e3).toFixed(2)} s`)
        .join(', '),
    })
  }
}

function firstToken(
  model: string,
  device: string,
  cache: string,
): Promise<{ ms: number; phases: Record<string, number> }> {
  const start = performance.now()
  const wall = Date.now()
  const script = fileURLToPath(new URL('./first-token.js', import.meta.url))
  const child = spawn(process.execPath, [script, model, device], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ROCMFORGE_CACHE_DIR: cache, ROCMFORGE_STARTED: String(wall) },
  })
  let output = ''
  let ms = 0
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
    if (!ms && output.includes('\n')) ms = performance.now() - start
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      if (code !== 0 || !ms) reject(new Error(`first-token ended with ${code}: ${output}`))
      else resolve({ ms, phases: JSON.parse(output.split('\n')[0]!) })
    })
  })
}
