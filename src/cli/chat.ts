// rocmforge chat: a conversation on the terminal.
import { createInterface } from 'node:readline/promises'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type ChatMessage, renderChat } from '../tokenizer/chat-template.ts'
import { type LoadFlags, loadModel, type SampleFlags, sampleSettings } from './load.ts'
import { interruptSignal } from './report.ts'
import { summary } from './run.ts'

export interface ChatFlags extends LoadFlags, SampleFlags {
  readonly system?: string
}

export async function chat(path: string, flags: ChatFlags): Promise<void> {
  const { model } = await loadModel(path, flags, interruptSignal())
  await using _ = model
  await renderChat(model.tokenizer.chatTemplate, { messages: [{ role: 'user', content: '' }] }) // or says that it cannot
  process.removeAllListeners('SIGINT') // from here Ctrl-C ends an answer, not the program
  const opening: ChatMessage[] = flags.system ? [{ role: 'system', content: flags.system }] : []
  let messages = [...opening]
  const lines = createInterface({ input: process.stdin, output: process.stderr, prompt: '> ' })
  let answering: AbortController | undefined
  lines.on('SIGINT', () => (answering ? answering.abort() : lines.close()))
  lines.prompt()
  for await (const line of lines) {
    const said = line.trim()
    if (said === '/exit') break
    if (said === '/reset') messages = [...opening]
    else if (said) {
      answering = new AbortController()
      const asked: ChatMessage[] = [...messages, { role: 'user', content: said }]
      try {
        const generation = model.chat(asked, { ...sampleSettings(flags), signal: answering.signal })
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
    lines.prompt()
  }
  lines.close()
}
