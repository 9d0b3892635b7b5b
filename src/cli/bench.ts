// rocmforge bench: how fast a model decodes, beside what memory allows.
import { writeFileSync } from 'node:fs'
import { fail } from '../../ir/diagnostic.ts'
import { type BenchModel, bench as measure } from '../bench/bench.ts'
import { checkWeightType } from '../bench/random-model.ts'
import { benchReport } from '../bench/report.ts'
import type { BenchResult } from '../bench/result.ts'
import type { BenchOptions } from '../bench/settings.ts'
import { findShape, shapes } from '../bench/shapes.ts'
import { Progress } from './progress.ts'
import { interruptSignal } from './report.ts'
import { jsonText, table, writeJson, writeLine } from './table.ts'
import { readVersion } from './version.ts'

interface BenchFlags {
  readonly shape?: string
  readonly randomWeights?: boolean
  readonly weights?: string
  readonly contexts: number[]
  readonly batch: number[]
  readonly prompt: number
  readonly chunk?: number
  readonly tokens: number
  readonly rounds: number
  readonly device: string
  readonly optLevel: string
  readonly kvDtype?: BenchOptions['kvDtype']
  readonly activations: NonNullable<BenchOptions['activations']>
  readonly step: NonNullable<BenchOptions['step']>
  readonly stepBlock?: number
  readonly replay: boolean
  readonly kernels?: boolean
  readonly json?: boolean
  readonly out?: string
  readonly quiet?: boolean
}

export async function bench(path: string | undefined, flags: BenchFlags): Promise<void> {
  const model = modelOf(path, flags)
  if (flags.out) write(flags.out, '') // better refused now than when everything is measured
  const signal = interruptSignal()
  const progress = new Progress(!!flags.quiet)
  let latest: BenchResult | undefined
  const show = (result: BenchResult) => {
    if (flags.out) write(flags.out, `${jsonText(result, 2)}\n`)
    if (flags.json) writeJson(result)
    else writeLine(benchReport(result, table, { kernels: !!flags.kernels }))
  }
  try {
    progress.update(`bench    ${'path' in model ? model.path : model.shape}`)
    const result = await measure(model, readVersion(), settings(flags), {
      signal,
      onStatus: (text) => progress.update(`bench    ${text}`),
      onResult(result) {
        latest = result
        const one = result.decode.at(-1)
        if (one)
          progress.line(
            `bench    batch ${one.batch}, context ${one.context}: ${one.tokensPerSecond.toFixed(1)} tokens/s, MBU ${(one.mbu * 100).toFixed(0)} %`,
          )
      },
    })
    progress.clear()
    show(result)
    if (result.interrupted) process.exitCode ||= 130
  } catch (error) {
    progress.clear()
    if (latest && (latest.decode.length > 0 || latest.prefill.length > 0)) show(latest) // what was measured is not lost
    throw error
  }
}

function write(path: string, text: string): void {
  try {
    writeFileSync(path, text)
  } catch (error) {
    fail(
      {
        code: 'cannot-write',
        message: 'the result cannot be written',
        facts: [
          ['file', path],
          ['cause', error instanceof Error ? error.message : String(error)],
        ],
        help: '--out names a file in a folder that exists and may be written',
      },
      error,
    )
  }
}

function modelOf(path: string | undefined, flags: BenchFlags): BenchModel {
  if (flags.shape !== undefined) {
    if (path !== undefined)
      fail({
        code: 'usage',
        message: 'a model and --shape were given, one of them can be measured',
        help: 'rocmforge bench --help shows what there is',
      })
    findShape(flags.shape)
    return { shape: flags.shape, weights: checkWeightType(flags.weights ?? 'bf16') }
  }
  if (path === undefined)
    return fail({
      code: 'usage',
      message: 'there is nothing to measure',
      facts: [['shapes', Object.keys(shapes).join(', ')]],
      help: 'name a model file, or a shape: rocmforge bench --shape llama-1b',
    })
  if (flags.weights !== undefined || flags.randomWeights)
    fail({
      code: 'usage',
      message: 'a file has weights of its own',
      help: '--weights and --random-weights go with --shape',
    })
  return { path }
}

const settings = (flags: BenchFlags): BenchOptions => ({
  device: flags.device,
  optLevel: Number(flags.optLevel) as 0 | 1 | 2 | 3,
  activations: flags.activations,
  step: flags.step,
  ...(flags.stepBlock ? { stepBlock: flags.stepBlock } : {}),
  replay: flags.replay,
  kernels: flags.kernels ?? false,
  contexts: flags.contexts,
  batch: flags.batch,
  prompt: flags.prompt,
  tokens: flags.tokens,
  rounds: flags.rounds,
  ...(flags.kvDtype ? { kvDtype: flags.kvDtype } : {}),
  ...(flags.chunk ? { chunk: flags.chunk } : {}),
})
