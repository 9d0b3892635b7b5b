// How a command ends when it does not end well. Exit codes: 0 done, 1 an error, 130 interrupted, 143 terminated.
import { type Command, CommanderError } from 'commander'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { visible, visibleLines } from '../../ir/visible-text.ts'
import { usageError } from './usage.ts'

/** Writes an error to standard error, as JSON under --json, and sets the exit code. */
export function reportError(error: unknown, program: Command, words: readonly string[] = []): void {
  if (error instanceof Error && error.name === 'AbortError') {
    process.exitCode ||= 130
    return
  }
  if (error instanceof CommanderError && (error.exitCode === 0 || error.code === 'commander.help')) {
    process.exitCode = error.exitCode // help or version, which are written already
    return
  }
  process.exitCode = 1
  const shown = error instanceof CommanderError ? usageError(error, program, words) : error
  const asJson = process.argv.includes('--json')
  if (shown instanceof Diagnostic)
    process.stderr.write(asJson ? `${visible(JSON.stringify({ error: shown }))}\n` : `${shown.message}\n`)
  else {
    // ours, with its stack, because that is what a report needs
    const text = shown instanceof Error ? (shown.stack ?? shown.message) : String(shown)
    process.stderr.write(
      asJson
        ? `${visible(JSON.stringify({ error: { code: 'internal', message: text } }))}\n`
        : `${visibleLines(text)}\n`,
    )
  }
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
