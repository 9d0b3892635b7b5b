// What commander found wrong with the words, in the form of our errors, with what was probably meant.
import { existsSync } from 'node:fs'
import type { Command, CommanderError } from 'commander'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { editDistance, nearest } from '../../ir/near-match.ts'
import { commandAliases, flagAliases } from './aliases.ts'
import { fullName } from './manual.ts'

export function usageError({ message }: CommanderError, program: Command, words: readonly string[]): Diagnostic {
  const [, what = message] = /^(?:error: )?(.*?)\.?\s*(?:\(Did you mean .*\?\))?$/s.exec(message) ?? []
  const command = commandOf(program, words)
  const [, kind, unknown = ''] = /^unknown (option|command) '(.*)'$/s.exec(what) ?? []
  const hint =
    kind === 'command'
      ? aboutCommand(command, unknown)
      : kind === 'option'
        ? aboutOption(program, command, unknown.split('=')[0]!)
        : what.startsWith('too many arguments') && command.name() === 'run'
          ? 'a prompt goes behind -p, in quotes where it has spaces: rocmforge run MODEL -p "Once upon a time"'
          : undefined
  const about = `${fullName(command)} --help shows what there is`
  return new Diagnostic({
    code: 'usage',
    message: what,
    help: hint?.endsWith('?') ? `${hint} ${about}` : (hint ?? about),
  })
}

/** The command that the words name, as far as they do: `rocmforge`, `cache`, `cache ls`. */
function commandOf(from: Command, words: readonly string[]): Command {
  const next = from.commands.find((one) => one.name() === words[0])
  return next ? commandOf(next, words.slice(1)) : from
}

function aboutCommand(command: Command, unknown: string): string | undefined {
  const known = Object.hasOwn(commandAliases, unknown) ? commandAliases[unknown] : undefined
  if (command.parent === null && known) return 'help' in known ? known.help : `did you mean ${known.same}?`
  const names = command.commands.map((one) => one.name())
  const meant = near(unknown, names)
  if (command.parent === null && !meant && (existsSync(unknown) || /[/\\~]|\.gguf$/.test(unknown)))
    return `a command comes first: rocmforge run ${unknown} -p TEXT, or rocmforge chat ${unknown}`
  return meant && `did you mean ${meant}?`
}

function aboutOption(program: Command, command: Command, unknown: string): string | undefined {
  if (command === program) {
    const model = flagAliases.get(unknown)?.kind === 'model' ? '' : 'MODEL '
    return `a command comes first, then its options: rocmforge run ${model}${unknown} …`
  }
  const own = flagsOf(command)
  const owners = program.commands.filter((one) => one !== command && flagsOf(one).includes(unknown))
  if (owners.length > 0 && owners.length <= 3)
    return `${owners.map(fullName).join(' and ')} ${owners.length > 1 ? 'have' : 'has'} it`
  // a slip in another program's name for one of our flags
  const others = [...flagAliases].flatMap(([name, meaning]) =>
    meaning.kind === 'flag' && own.includes(meaning.name) && name.startsWith('--') ? [name] : [],
  )
  const meant = near(unknown, [...own, ...others])
  return meant && `did you mean ${meant}?`
}

const flagsOf = (command: Command): string[] => command.options.flatMap(({ flags }) => flags.match(/--[\w-]+/g) ?? [])

/** The known word that this one is probably a slip of. */
function near(word: string, known: readonly string[]): string | undefined {
  const [meant = ''] = nearest(word.toLowerCase(), known, 1)
  const dashes = meant.startsWith('--') ? 2 : 0
  return meant !== '' && editDistance(word.toLowerCase(), meant) <= Math.max(2, (meant.length - dashes) * 0.4)
    ? meant
    : undefined
}
