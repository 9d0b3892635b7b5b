#!/usr/bin/env node
// The command line: commands are thin, parse → call the API → format. Each is loaded when it is asked for.
import { Command } from 'commander'
import { addCommands } from './commands.ts'
import { endOnLostOutput, reportError } from './report.ts'
import { translate } from './translate.ts'
import { readVersion } from './version.ts'

const program = new Command('rocmforge')
  .description('A graph compiler and runtime for large language models on AMD GPUs')
  .version(readVersion())
  .exitOverride() // wrong words on the command line are reported like every other error
  .configureOutput({ outputError: () => {} })
  .addHelpText(
    'after',
    `
Examples:
  $ rocmforge run models/story-3m -p "Once upon a time" --temp 0.7
  $ rocmforge run model.gguf -p "The sea" --device host --json
  $ rocmforge chat ./Qwen2.5-0.5B-Instruct
  $ rocmforge help run`,
  )

endOnLostOutput(program)
const given = process.argv.slice(2)
let understood: readonly string[] = given
try {
  addCommands(program)
  const { words, notes } = translate(program, given)
  understood = words
  if (!['-q', '--quiet', '--json'].some((flag) => words.includes(flag)))
    for (const note of notes) process.stderr.write(`note     ${note}\n`)
  await program.parseAsync(words, { from: 'user' })
} catch (error) {
  reportError(error, program, understood)
}
