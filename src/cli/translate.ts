// Words as people type them to words as our commands take them: aliases, underscores, one dash for two. Values are never
// touched: what follows a flag that takes one goes along as it is.
import type { Command, Option } from 'commander'
import { fail } from '../../ir/diagnostic.ts'
import { commandAliases, flagAliases, type Meaning, takesValue } from './aliases.ts'
import { fullName } from './manual.ts'

interface Translated {
  readonly words: readonly string[]
  /** what was passed over, for people */
  readonly notes: readonly string[]
}

/** `words`: those behind the name of the program. Throws the Diagnostic `usage` for flags that have no meaning here. */
export function translate(program: Command, words: readonly string[]): Translated {
  const [first, ...rest] = words
  if (first === undefined) return { words, notes: [] }
  const known = commandAliases[first]
  const name = known && 'same' in known && Object.hasOwn(commandAliases, first) ? known.same : first
  const command = program.commands.find((one) => one.name() === name)
  if (!command) return { words, notes: [] }
  const inner = command.commands.find((one) => one.name() === rest[0])
  const path = inner ? [name, rest[0]!] : [name]
  const { words: behind, notes } = translateFlags(inner ?? command, inner ? rest.slice(1) : rest)
  return { words: [...path, ...behind], notes }
}

function translateFlags(command: Command, given: readonly string[]): Translated {
  const notes: string[] = []
  const models: string[] = []
  const words: string[] = []
  const queue = [...given]
  const note = (name: string, why: string | undefined) => why && notes.push(`${name}: ${why}`)
  for (;;) {
    const word = queue.shift()
    if (word === undefined) break
    if (word === '--') {
      words.push(word, ...queue)
      break
    }
    if (!/^-\D/.test(word)) {
      words.push(word)
      continue
    }
    const [, spelled = word, attached] = /^(--?[^=]+)=(.*)$/s.exec(word) ?? []
    const value = () => attached ?? queue.shift() ?? ''
    const found = meaningOf(command, spelled)
    if (found === undefined) words.push(word)
    else if (found.kind === 'own') {
      if (!found.required && attached !== undefined) words.push(...withoutValue(found.flag, attached))
      else if (attached === undefined) words.push(found.flag)
      else if (found.flag.startsWith('--')) words.push(`${found.flag}=${attached}`)
      else words.push(found.flag, attached)
      if (found.required && attached === undefined && queue.length > 0) words.push(queue.shift()!)
    } else if (found.kind === 'model') models.push(value())
    else if (found.kind === 'needless') {
      if (
        attached === undefined &&
        found.value &&
        /^(?:on|off|auto|[01]|true|false|sdpa|eager|flash_\w+)$/.test(queue[0] ?? '')
      )
        queue.shift()
      note(spelled, found.why)
    } else if (found.kind === 'words') {
      words.push(...found.words(takesValue(found.name, found) ? value() : ''))
      note(spelled, found.note)
    } else if (found.kind === 'refused')
      fail({
        code: 'usage',
        message: `${fullName(command)} has no ${spelled}`,
        help: found.help,
      })
  }
  return { words: [...models, ...words], notes }
}

/** `--json=true` is `--json`, `--json=0` is nothing. */
function withoutValue(flag: string, value: string): string[] {
  if (/^(?:true|1|yes|on)$/i.test(value)) return [flag]
  if (/^(?:false|0|no|off)$/i.test(value)) return []
  return fail({ code: 'usage', message: `${flag} takes no value`, facts: [['got', value.slice(0, 80)]] })
}

type Found = Exclude<Meaning, { kind: 'flag' }> & { readonly name: string }
type Own = { readonly kind: 'own'; readonly flag: string; readonly required: boolean }

/** What a flag is to this command; undefined: commander says what it thinks of it. */
function meaningOf(command: Command, spelled: string): Found | Own | undefined {
  const own = (name: string): Own | undefined => {
    const option = command.options.find((one) => namesOf(one).includes(name))
    return option && { kind: 'own', flag: name, required: option.required }
  }
  const forms = spellings(spelled)
  for (const form of forms) {
    const found = own(form)
    if (found) return found
    const meaning = flagAliases.get(form)
    if (!meaning) continue
    if (meaning.kind !== 'flag') return { ...meaning, name: form }
    const target = own(meaning.name)
    if (target) return target
  }
  return undefined
}

const namesOf = ({ flags }: Option): string[] => flags.match(/--?[\w-]+/g) ?? []

/** `--top_k`, `--topK`, `--TOP-K` and `-top-k` are `--top-k`; the word itself comes first. */
function spellings(spelled: string): string[] {
  const dashed = spelled.replaceAll('_', '-').replaceAll(/(?<=[a-z])[A-Z]/g, (letter) => `-${letter}`)
  const plain = spelled.startsWith('--') || spelled.length > 2 ? dashed.toLowerCase() : spelled
  const doubled = plain.startsWith('--') || plain.length <= 2 ? plain : `-${plain}`
  return [...new Set([spelled, plain, doubled])]
}
