// The two ways a thing can go wrong: a Diagnostic is the user's to mend (bad file, bad option, no device), an invariant
// is ours. A Diagnostic is data: a code, a message, facts, and what to do; it is rendered last.

import type { DiagnosticCode } from './diagnostic-codes.ts'

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

/** An error that the user can mend. `toString()` gives the rendered form. */
export class Diagnostic extends Error {
  override readonly name = 'Diagnostic'
  readonly code: DiagnosticCode
  readonly facts: readonly Fact[]
  readonly help: string | undefined
  /** the message alone, without code, facts and help */
  readonly summary: string

  constructor(data: DiagnosticData, options?: { cause?: unknown }) {
    super(render(data), options)
    this.code = data.code
    this.summary = data.message
    this.facts = data.facts ?? []
    this.help = data.help
    this.stack = this.message // a user's error is not a stack trace
  }

  /** What Node prints of an error that nobody caught: the message, not its parts again. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.message
  }

  toJSON(): DiagnosticData {
    return { code: this.code, message: this.summary, facts: this.facts, ...(this.help ? { help: this.help } : {}) }
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
