// From what a person typed to a path that exists: `~` that no shell expanded, and for what is not there the reason that is
// most likely: a name on a model hub, an address, a slip of the keyboard.
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { type Fact, fail } from '../../ir/diagnostic.ts'
import { editDistance, nearest } from '../../ir/near-match.ts'
import { expandHome } from '../../runtime/cache/root.ts'

/**
 * The path of a model as it is on this machine. Throws the Diagnostic `file-not-found` with what was probably meant.
 */
export function locateModel(given: string): string {
  const path = expandHome(given)
  if (path !== '' && existsSync(path)) return path
  const refuse = (help: string, facts: readonly Fact[] = []): never =>
    fail({
      code: 'file-not-found',
      message: 'there is no such file or folder',
      facts: [['path', given === '' ? '(empty)' : given], ...facts],
      help,
    })
  if (given.startsWith('file://')) return refuse(`give a path, not an address: ${given.slice('file://'.length)}`)
  const hub = hubName(given)
  if (hub !== undefined && !existsSync(dirname(path))) {
    const { meant: folder } = nearName('.', given.split('/')[0]!)
    const beside = folder !== undefined && join(folder, given.slice(given.indexOf('/') + 1))
    return refuse(beside && existsSync(beside) ? `did you mean ${beside}?` : downloadHelp(hub))
  }
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(given))
    return refuse('nothing is downloaded yet: fetch the file first, then give its path')
  if (/^~[^/\\]/.test(given)) return refuse('the home folder of another user is not looked up: give the whole path')
  if (/^[\w.-]+:[\w.-]+$/.test(given))
    return refuse('names of a model library are not known here: give a Hugging Face folder, or a .gguf file')
  const { meant, facts } = aroundPath(path)
  return refuse(meant === undefined ? 'give a Hugging Face folder, or a .gguf file' : `did you mean ${meant}?`, facts)
}

/** The path of another file that a person named; Diagnostic `file-not-found`. */
export function locateFile(given: string): string {
  const path = expandHome(given)
  if (path !== '' && existsSync(path)) return path
  const { meant, facts } = aroundPath(path)
  return fail({
    code: 'file-not-found',
    message: 'there is no such file',
    facts: [['path', given === '' ? '(empty)' : given], ...facts],
    ...(meant ? { help: `did you mean ${meant}?` } : {}),
  })
}

/** `org/name` of what looks like a model on Hugging Face's hub: `org/name`, `hf:org/name`, `https://huggingface.co/org/name/…`. */
function hubName(given: string): string | undefined {
  const rest = /^(?:(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\/|hf:(?:\/\/)?)(.+)$/i.exec(given)?.[1]
  const [, name] = /^([\w-][\w.-]*\/[\w.-]+?)(?:[/:@].*)?$/.exec(rest ?? given) ?? []
  if (name === undefined || (rest === undefined && /\.(gguf|safetensors|json|bin)$/i.test(given))) return undefined
  return rest === undefined && given !== name && !/^[\w-][\w.-]*\/[\w.-]+:[\w.-]+$/.test(given) ? undefined : name
}

const downloadHelp = (name: string): string => {
  const folder = name.split('/')[1]!
  return `this looks like a model on Hugging Face’s hub, and nothing is downloaded yet: \`pip install huggingface_hub\`, \`hf download ${name} --local-dir ${folder}\`, then give ./${folder}`
}

/** The nearest name beside the one that is missing, or where the path stops to exist. */
function aroundPath(path: string): { meant?: string; facts: readonly Fact[] } {
  if (path === '') return { facts: [] }
  const folder = dirname(path)
  const names = existsSync(folder) ? namesOf(folder) : undefined
  if (!names) {
    let at = folder
    while (!existsSync(at) && dirname(at) !== at) at = dirname(at)
    const { meant } =
      at === folder || at === '.' || at === '/' ? {} : nearName(at, folder.slice(at.length + 1).split('/')[0]!)
    return { facts: at === '.' || at === '/' ? [] : [['exists', at]], ...(meant ? { meant: `${meant}/…` } : {}) }
  }
  return { ...nearName(folder, basename(path)), facts: [] }
}

function nearName(folder: string, wanted: string): { meant?: string } {
  const names = namesOf(folder) ?? []
  const plain = wanted.toLowerCase()
  const longer = names.filter((name) => [`${plain}.gguf`, plain].includes(name.toLowerCase()))
  const [near] =
    longer.length > 0
      ? longer
      : nearest(
          plain,
          names.map((name) => name.toLowerCase()),
          1,
        )
  const found = names.find((name) => name.toLowerCase() === near?.toLowerCase())
  if (found === undefined) return {}
  const isNear =
    longer.length > 0 || editDistance(plain, found.toLowerCase()) <= Math.max(2, Math.floor(wanted.length * 0.3))
  return isNear ? { meant: join(folder, found) } : {}
}

/** Names in a folder, the first thousand; undefined where it is none. */
function namesOf(folder: string): string[] | undefined {
  try {
    return readdirSync(folder).slice(0, 1000)
  } catch {
    return undefined
  }
}
