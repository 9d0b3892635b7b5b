#!/usr/bin/env node
// The command line: commands are thin, parse → call the API → format. Each is loaded when it is asked for.
import { Command } from 'commander'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { addCommands } from './commands.ts'
import { readVersion } from './version.ts'

const program = new Command('rocmforge')
  .description('A graph compiler and runtime for large language models on AMD GPUs')
  .version(readVersion())
  .showHelpAfterError('(rocmforge --help shows every command)')
  .addHelpText(
    'after',
    `
Examples:
  $ rocmforge run models/story-3m -p "Once upon a time" --temp 0.7
  $ rocmforge run model.gguf -p "The sea" --device amd:0 --json
  $ rocmforge chat ./Qwen2.5-0.5B-Instruct
  $ rocmforge devices`,
  )
addCommands(program)

try {
  await program.parseAsync()
} catch (error) {
  report(error)
}

/** A user's error in one piece; ours with its stack, because that is what a report needs. */
function report(error: unknown): void {
  const aborted = error instanceof Error && error.name === 'AbortError'
  if (aborted) process.exitCode = 130
  else {
    const asJson = process.argv.includes('--json')
    if (error instanceof Diagnostic)
      process.stderr.write(asJson ? `${JSON.stringify({ error })}\n` : `${error.message}\n`)
    else process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
    process.exitCode = 1
  }
}
