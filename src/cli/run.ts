// rocmforge run: continue a text.
import { text } from 'node:stream/consumers'
import { fail } from '../../ir/diagnostic.ts'
import type { GenerationResult } from '../engine/generate.ts'
import { generateOptions, readOptions } from '../options.ts'
import { type LoadFlags, type LoadReport, loadModel, type SampleFlags, sampleSettings } from './load.ts'
import { interruptSignal } from './report.ts'
import { jsonText, writeLine } from './table.ts'

export interface RunFlags extends LoadFlags, SampleFlags {
  readonly prompt?: string
  readonly printGraph?: boolean
  readonly bos?: boolean
  readonly parseSpecial?: boolean
}

export async function run(path: string, flags: RunFlags): Promise<void> {
  readOptions(generateOptions, sampleSettings(flags)) // before the model is loaded
  const signal = interruptSignal()
  const prompt = flags.printGraph ? '' : await readPrompt(flags)
  const { model, report } = await loadModel(path, flags, signal)
  await using _ = model
  if (flags.printGraph) {
    process.stdout.write(`${model.graph.print()}\n`)
    return
  }
  const { bos, parseSpecial = false } = flags
  const howToEncode = { ...(bos === undefined ? {} : { addBos: bos }), parseSpecial }
  const generation = model.generate(prompt, { ...sampleSettings(flags), ...howToEncode, signal })
  let firstAt: number | undefined
  for await (const piece of generation) {
    if (firstAt === undefined && !flags.json) process.stdout.write(prompt) // a prompt that is refused is not repeated
    firstAt ??= performance.now()
    if (!flags.json) process.stdout.write(piece.text)
  }
  const result = await generation.result()
  if (firstAt === undefined && !flags.json) process.stdout.write(prompt)
  if (flags.json) writeLine(jsonText(asJson(result, report, model.device.id, firstAt)))
  else {
    process.stdout.write('\n')
    if (!flags.quiet) process.stderr.write(`\n${summary(result, firstAt)}\n`)
  }
}

async function readPrompt({ prompt }: RunFlags): Promise<string> {
  if (prompt !== undefined) return prompt
  if (process.stdin.isTTY)
    return fail({ code: 'no-prompt', message: 'there is no prompt', help: 'give one with -p, or on standard input' })
  return (await text(process.stdin)).replace(/\n$/, '')
}

/** Tokens a second, none where nothing was timed. */
const rate = (tokens: number, ms: number): number => (ms > 0 ? (tokens * 1000) / ms : 0)

/** One line; `firstAt`: ms from the start of the process to the first token. */
export function summary({ timings: t, reason, tokenIds, seed }: GenerationResult, firstAt?: number): string {
  const why = {
    eos: 'the text ended',
    stop: 'a stop text came',
    length: 'the number of tokens asked for',
    context: 'the context is full',
    aborted: 'interrupted',
  }[reason]
  const prefill = `prompt ${t.promptTokens} tokens, ${rate(t.promptTokens, t.prefillMs).toFixed(0)} tokens/s`
  const first = firstAt === undefined ? '' : `first token after ${(firstAt / 1000).toFixed(2)} s · `
  return `${first}${prefill} · ${tokenIds.length} tokens, ${rate(t.decodedTokens, t.decodeMs).toFixed(1)} tokens/s · ${why} · seed ${seed}`
}

const asJson = (
  result: GenerationResult,
  { loadMs, kernels, reached, weightsMs }: LoadReport,
  device: string,
  firstAt: number | undefined,
) => ({
  promptIds: result.promptIds,
  tokenIds: result.tokenIds,
  text: result.text,
  reason: result.reason,
  seed: result.seed,
  device,
  timings: {
    loadMs,
    firstTokenMs: firstAt ?? null,
    reachedMs: reached,
    weightsMs,
    kernels: kernels.total,
    kernelsFromCache: kernels.fromCache,
    promptTokens: result.timings.promptTokens,
    prefillMs: result.timings.prefillMs,
    prefillTokensPerSecond: rate(result.timings.promptTokens, result.timings.prefillMs),
    decodedTokens: result.timings.decodedTokens,
    decodeMs: result.timings.decodeMs,
    decodeTokensPerSecond: rate(result.timings.decodedTokens, result.timings.decodeMs),
  },
})
