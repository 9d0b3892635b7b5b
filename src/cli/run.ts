// rocmforge run: continue a text.
import { text } from 'node:stream/consumers'
import { fail } from '../../ir/diagnostic.ts'
import type { GenerationResult } from '../engine/generate.ts'
import { locateFile, locateModel } from '../loader/model-path.ts'
import { readSmallFile } from '../loader/source-file.ts'
import { generateOptions, readOptions } from '../options.ts'
import { type LoadFlags, type LoadReport, loadModel, type SampleFlags, sampleSettings } from './load.ts'
import { interruptSignal } from './report.ts'
import { rate, summary } from './summary.ts'
import { jsonText, writeLine } from './table.ts'

interface RunFlags extends LoadFlags, SampleFlags {
  readonly prompt?: string
  readonly file?: string
  readonly printGraph?: boolean
  readonly bos?: boolean
  readonly parseSpecial?: boolean
}

export async function run(path: string, flags: RunFlags): Promise<void> {
  readOptions(generateOptions, sampleSettings(flags)) // before the model is loaded
  locateModel(path) // before a prompt is waited for
  const asked = flags.prompt !== undefined || flags.file !== undefined || flags.printGraph || flags.json
  if (!asked && process.stdin.isTTY) return openChat(path, flags)
  const signal = interruptSignal()
  const prompt = flags.printGraph ? '' : await readPrompt(path, flags)
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

/** Without a prompt on a terminal: a conversation, where the model has a template for one. */
async function openChat(path: string, flags: RunFlags): Promise<void> {
  const { chat } = await import('./chat.ts')
  await chat(path, flags, {
    code: 'no-prompt',
    message: 'there is no prompt, and the model has no chat template for a conversation',
    facts: [['model', path]],
    help: `give a prompt: rocmforge run ${path} -p TEXT`,
  })
}

/** Bytes that a prompt may have. */
const promptLimit = 64 * 2 ** 20
/** After this long without an end of standard input it is said that one is waited for, ms. */
const patientMs = 1000

async function readPrompt(path: string, { prompt, file, quiet }: RunFlags): Promise<string> {
  if (prompt !== undefined && file !== undefined)
    return fail({ code: 'usage', message: 'both --prompt and --file give a prompt', help: 'leave one of them out' })
  if (file !== undefined && file !== '-')
    return readSmallFile(locateFile(file), promptLimit)
      .toString('utf8')
      .replace(/\r?\n$/, '')
  if (prompt !== undefined && prompt !== '-') return prompt
  const refuse = (message: string): never =>
    fail({
      code: 'no-prompt',
      message,
      help: `give one: rocmforge run ${path} -p TEXT, or by a pipe: … | rocmforge run ${path}`,
    })
  if (process.stdin.isTTY && prompt === undefined && file === undefined) return refuse('there is no prompt')
  const timer = setTimeout(() => {
    if (!quiet) process.stderr.write('prompt   reading it from standard input, up to its end; -p TEXT gives one\n')
  }, patientMs)
  try {
    const given = (await text(process.stdin)).replace(/\r?\n$/, '')
    return given === '' ? refuse('there is no prompt: standard input is empty') : given
  } finally {
    clearTimeout(timer)
  }
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
