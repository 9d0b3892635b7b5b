// rocmforge chat: a conversation on the terminal.
import { createInterface } from 'node:readline/promises'
import { Diagnostic, type DiagnosticData, fail } from '../../ir/diagnostic.ts'
import type { Model } from '../api/model.ts'
import { locateModel } from '../loader/model-path.ts'
import { type ChatOptions, chatOptions, readOptions } from '../options.ts'
import { type ChatMessage, renderChat } from '../tokenizer/chat-template.ts'
import { type TemplateFlags, templateSettings } from './chat-settings.ts'
import { type LoadFlags, loadModel, type SampleFlags, sampleSettings } from './load.ts'
import { interruptSignal } from './report.ts'
import { summary } from './summary.ts'

interface ChatFlags extends LoadFlags, SampleFlags, TemplateFlags {
  readonly system?: string
  readonly prompt?: string
}

/** What is said of a model that has no chat template. */
const noTemplate = (path: string): DiagnosticData => ({
  code: 'no-chat-template',
  message: 'this model has no chat template',
  facts: [['model', path]],
  help: `\`rocmforge run ${path} -p TEXT\` continues a text; where you know its format of conversations, --chat-template FILE brings one (Jinja)`,
})

export async function chat(path: string, flags: ChatFlags, missing = noTemplate(path)): Promise<void> {
  const settings: ChatOptions = { ...sampleSettings(flags), ...templateSettings(flags) }
  readOptions(chatOptions, settings)
  locateModel(path)
  const model = await loadForChat(path, flags, settings, missing)
  await using _ = model
  process.removeAllListeners('SIGINT') // from here Ctrl-C ends an answer, not the program
  const opening: ChatMessage[] = flags.system ? [{ role: 'system', content: flags.system }] : []
  let messages = [...opening]
  let answering: AbortController | undefined
  const answer = async (said: string): Promise<void> => {
    answering = new AbortController()
    const asked: ChatMessage[] = [...messages, { role: 'user', content: said }]
    try {
      const generation = model.chat(asked, { ...settings, signal: answering.signal })
      for await (const piece of generation) process.stdout.write(piece.text)
      const result = await generation.result()
      process.stdout.write('\n')
      messages = [...asked, { role: 'assistant', content: result.text }]
      if (flags.verbose) process.stderr.write(`\n${summary(result)}\n`)
    } catch (error) {
      // a refused message or a full context ends the turn, not the conversation
      if (!(error instanceof Diagnostic)) throw error
      process.stderr.write(`${error.message}\n`)
    }
    answering = undefined
  }
  const prompt = process.stdin.isTTY ? '> ' : '' // nobody types into a pipe
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt })
  lines.on('SIGINT', () => (answering ? answering.abort() : lines.close()))
  lines.pause() // nothing that is typed early is lost
  if (process.stdin.isTTY && !flags.quiet) process.stderr.write('chat     /reset starts again, /exit or Ctrl-D ends\n')
  if (flags.prompt) await answer(flags.prompt)
  lines.prompt()
  for await (const line of lines) {
    const said = line.trim()
    if (said === '/exit' || said === '/bye' || said === '/quit') break
    if (said === '/reset' || said === '/clear') messages = [...opening]
    else if (said) await answer(said)
    lines.prompt()
  }
  lines.close()
}

/** A template that is missing or malformed is told while the model is being loaded, and ends that. */
async function loadForChat(
  path: string,
  flags: ChatFlags,
  settings: ChatOptions,
  missing: DiagnosticData,
): Promise<Model> {
  const refused = new AbortController()
  let checked: Promise<void> | undefined
  const signal = AbortSignal.any([interruptSignal(), refused.signal])
  const { model } = await loadModel(path, flags, signal, {
    onModel(info) {
      const template = settings.chatTemplate ?? info.chatTemplate
      if (template === undefined) fail(missing)
      checked = checkTemplate(template, settings)
      checked.catch((error) => refused.abort(error))
    },
  })
  try {
    await checked
  } catch (error) {
    await model.dispose()
    throw error
  }
  return model
}

async function checkTemplate(template: string, { tools, chatTemplateKwargs: variables }: ChatOptions): Promise<void> {
  try {
    await renderChat(template, { messages: [{ role: 'user', content: 'Hello' }], tools, variables })
  } catch (error) {
    // it refuses this message, and may take others
    if (!(error instanceof Diagnostic && error.code === 'template-raised')) throw error
  }
}
