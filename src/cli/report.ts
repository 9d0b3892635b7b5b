// How a command ends when it does not end well. Exit codes: 0 done, 1 an error, 130 interrupted, 143 terminated.
import { type Command, CommanderError } from 'commander'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { editDistance, nearest } from '../../ir/near-match.ts'
import { fullName } from './manual.ts'

/** Writes an error to standard error, as JSON under --json, and sets the exit code. */
export function reportError(error: unknown, program: Command): void {
  if (error instanceof Error && error.name === 'AbortError') {
    process.exitCode ||= 130
    return
  }
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
    process.exitCode = error.exitCode // help or version, which are written already
    return
  }
  process.exitCode = 1
  const shown = error instanceof CommanderError ? usageError(error, program) : error
  const asJson = process.argv.includes('--json')
  if (shown instanceof Diagnostic)
    process.stderr.write(asJson ? `${JSON.stringify({ error: shown })}\n` : `${shown.message}\n`)
  else {
    // ours, with its stack, because that is what a report needs
    const text = shown instanceof Error ? (shown.stack ?? shown.message) : String(shown)
    process.stderr.write(asJson ? `${JSON.stringify({ error: { code: 'internal', message: text } })}\n` : `${text}\n`)
  }
}

/** What commander found wrong, in the form of our errors, with the word that was probably meant. */
function usageError({ message }: CommanderError, program: Command): Diagnostic {
  const [, what = message] = /^(?:error: )?(.*?)\.?\s*(?:\(Did you mean .*\?\))?$/s.exec(message) ?? []
  const command = commandOf(program, process.argv.slice(2))
  const about = `${fullName(command)} --help`
  const [, kind, unknown = ''] = /^unknown (option|command) '(.*)'$/.exec(what) ?? []
  const known =
    kind === 'command'
      ? command.commands.map((one) => one.name())
      : command.options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? [])
  const [meant = ''] = kind ? nearest(unknown, known, 1) : []
  const isNear = meant !== '' && editDistance(unknown, meant) <= Math.max(2, meant.length * 0.4)
  return new Diagnostic({
    code: 'usage',
    message: what,
    help: isNear ? `did you mean ${meant}? ${about} shows what there is` : `${about} shows what there is`,
  })
}

/** The command that the words name, as far as they do: `rocmforge`, `cache`, `cache ls`. */
function commandOf(from: Command, words: readonly string[]): Command {
  const next = from.commands.find((one) => one.name() === words[0])
  return next ? commandOf(next, words.slice(1)) : from
}

/** Whoever reads our output may stop reading (`rocmforge run … | head -c 10`), which is no error; a full disk is one. */
export function endOnLostOutput(program: Command): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0)
      const name = stream === process.stdout ? 'standard output' : 'standard error'
      const problem = new Diagnostic({
        code: 'cannot-write',
        message: `${name} cannot be written`,
        facts: [['cause', error.message]],
        help: 'give it a place with room that may be written',
      })
      if (stream === process.stdout) reportError(problem, program)
      process.exit(1)
    })
  }
}

/** How long a command may tidy up behind Ctrl-C, ms. */
const graceMs = 2000

/** An abort on Ctrl-C or SIGTERM; a second signal, or a clean-up that takes too long, ends the process at once. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController()
  const end = (exitCode: number, reason: string) => () => {
    if (controller.signal.aborted) process.exit(exitCode)
    process.exitCode = exitCode
    controller.abort(new DOMException(reason, 'AbortError'))
    setTimeout(() => process.exit(exitCode), graceMs).unref() // caches outlive an end at any moment
  }
  process.on('SIGINT', end(130, 'interrupted'))
  process.on('SIGTERM', end(143, 'terminated'))
  return controller.signal
}
