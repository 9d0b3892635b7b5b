// The two ways a thing can go wrong: a Diagnostic is the user's to mend (bad file, bad option, no device), an invariant
// is ours. A Diagnostic is data: a code, a message, facts, and what to do; it is rendered last. Its stack names lines of the
// user's program, where it has any; call-site.ts says which where the error comes later than the call.
import { join, sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DiagnosticCode } from './diagnostic-codes.ts'
import { packageRoot } from './package-root.ts'
import { cut, visible, visibleLines } from './visible-text.ts'

/** One labelled line under the message: `at     %87 (blk.3.ffn_down)`. */
export type Fact = readonly [label: string, text: string]

export interface DiagnosticData {
  /** kebab-case, stable: what tests and scripts match on */
  readonly code: DiagnosticCode
  /** what is wrong, lower case, no full stop */
  readonly message: string
  /** where, and expected against got */
  readonly facts?: readonly Fact[]
  /** what to do about it */
  readonly help?: string
}

/** An error that the user can mend. `message` is the rendered form. */
export class Diagnostic extends Error {
  // accessors: Node prints the own properties of an error that nobody caught, and these are in the message already
  static {
    Diagnostic.prototype.name = 'Diagnostic'
  }
  readonly #data: DiagnosticData

  constructor(given: DiagnosticData, options?: { cause?: unknown }) {
    const data = shown(given)
    super(render(data), options)
    this.#data = data
    this.stack = `${this.message}${callerFrames(Diagnostic)}`
  }

  /** stable: what scripts match on; docs/errors.md lists them */
  get code(): DiagnosticCode {
    return this.#data.code
  }
  /** the message alone, without code, facts and help */
  get summary(): string {
    return this.#data.message
  }
  /** where, and expected against got */
  get facts(): readonly Fact[] {
    return this.#data.facts ?? []
  }
  /** what to do about it */
  get help(): string | undefined {
    return this.#data.help
  }

  /** What Node prints of an error that nobody caught: message and stack, not the fields again. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.stack ?? this.message
  }

  toJSON(): DiagnosticData {
    return { code: this.code, message: this.summary, facts: this.facts, ...(this.help ? { help: this.help } : {}) }
  }
}

/** frames that V8 is asked for: enough to get out of the deepest of our own calls */
const maxFrames = 100

/**
 * The lines of a stack from the caller of `above` on, each behind a newline. Those of this package are left out where there
 * are others.
 */
export function callerFrames(above: object): string {
  const holder: { stack?: string } = {}
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = maxFrames
  Error.captureStackTrace(holder, above as () => void)
  Error.stackTraceLimit = limit
  const all = (holder.stack ?? '').split('\n').filter((line) => /^ +at /.test(line))
  const theirs = all.filter((line) => !isOwn(line) && !/\(node:| at node:|\(<anonymous>\)$/.test(line))
  return (theirs.length > 0 ? theirs : all)
    .slice(0, limit)
    .map((line) => `\n${line}`)
    .join('')
}

/** our own folders, as paths and as URLs; the tests' count as a user's. Within someone's bundle there are none. */
let ownFolders: readonly string[] | undefined
function isOwn(line: string): boolean {
  ownFolders ??= foldersOf()
  return ownFolders.some((folder) => line.includes(folder))
}

function foldersOf(): string[] {
  let root: string
  try {
    root = packageRoot()
  } catch {
    return []
  }
  return ['dist', 'ir', 'passes', 'codegen', 'runtime', 'src'].flatMap((folder) => {
    const path = join(root, folder)
    return [`${path}${sep}`, `${pathToFileURL(path)}/`]
  })
}

/** Characters of a message, a fact's line and a help at most; what a person runs or reads through is longer. */
const most = { message: 400, fact: 400, long: 20_000, help: 1000, lines: 40 } as const
const longFacts =
  /^(file|folder|path|command|log|output|stderr|source|cause|reason|options|compiler|at|in|tried|looked)/

/** Whatever stands in it may come from a file: hidden characters are escaped, and what is too long is cut. */
function shown({ code, message, facts, help }: DiagnosticData): DiagnosticData {
  const fact = ([label, text]: Fact): Fact => {
    const isLong = longFacts.test(label)
    const lines = visibleLines(text).split('\n')
    const kept = isLong ? lines : lines.slice(0, most.lines)
    const rest = lines.length - kept.length
    return [
      visible(label),
      [
        ...kept.map((line) => cut(line, isLong ? most.long : most.fact)),
        ...(rest ? [`… (${rest} lines more)`] : []),
      ].join('\n'),
    ]
  }
  return {
    code,
    message: cut(visible(message), most.message),
    ...(facts ? { facts: facts.map(fact) } : {}),
    ...(help === undefined ? {} : { help: cut(visible(help), most.help) }),
  }
}

function render({ code, message, facts = [], help }: DiagnosticData): string {
  const width = Math.max(6, ...facts.map(([label]) => label.length))
  const indent = ' '.repeat(width + 3)
  const lines = facts.map(([label, text]) => `  ${label.padEnd(width)} ${text.replaceAll('\n', `\n${indent}`)}`)
  return [`error[${code}]: ${message}`, ...lines, ...(help ? [`  help: ${help}`] : [])].join('\n')
}

/** Throws a Diagnostic; typed so that the compiler knows control ends here. */
export function fail(data: DiagnosticData, cause?: unknown): never {
  throw new Diagnostic(data, cause === undefined ? undefined : { cause })
}

/** Our own bug, never the user's: states what must hold. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`internal: ${message}, please report`)
}
