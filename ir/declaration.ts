// What declarations of a user's own (ops, passes, kernels) have in common: fields checked by name, the place in the user's code
// that an error points at, and errors that the user's functions throw.
import { Diagnostic, type Fact, fail } from './diagnostic.ts'
import type { DiagnosticCode } from './diagnostic-codes.ts'
import { editDistance, nearest } from './near-match.ts'

/** `did you mean …?` where a known word is near, else the list of them. */
export function hintFor(word: string, known: readonly string[]): string {
  const [near] = nearest(word, known, 1)
  const isNear =
    near !== undefined && editDistance(word.toLowerCase(), near.toLowerCase()) <= Math.max(2, word.length / 3)
  return isNear ? `did you mean \`${near}\`?` : `there are ${known.join(', ') || 'none'}`
}

/** Which fields a declaration may have, and which of them must be there. */
interface Fields {
  readonly required: readonly string[]
  readonly optional: readonly string[]
}

/** Refuses a declaration that is no object, has a field of another name, or lacks one. `what` names it: `op clamp`. */
export function checkFields(code: DiagnosticCode, what: string, given: unknown, { required, optional }: Fields): void {
  if (typeof given !== 'object' || given === null)
    fail({ code, message: `${what} is declared by an object, got ${given === null ? 'null' : typeof given}` })
  const known = [...required, ...optional]
  for (const name in given)
    if (!known.includes(name))
      fail({ code, message: `${what} has a field \`${name}\` that there is not`, help: hintFor(name, known) })
  for (const name of required)
    if ((given as Record<string, unknown>)[name] === undefined)
      fail({ code, message: `${what} lacks \`${name}\``, help: `its fields are ${known.join(', ')}` })
}

/** `file:///home/me/ops.mjs:12:3`, where a function of ours was called; undefined where the engine does not say. */
export function callerOf(called: (...args: never[]) => unknown): string | undefined {
  const held: { stack?: string } = {}
  Error.captureStackTrace?.(held, called)
  const line = held.stack?.split('\n')[1]?.trim()
  return /\(([^()]+)\)$/.exec(line ?? '')?.[1] ?? line?.replace(/^at (async )?/, '')
}

/**
 * What `call` gives. What it throws is the user's own mistake: a Diagnostic of this code that names what was asked for, with
 * the error as its cause, whose stack points at the line.
 */
export function inUserCode<T>(code: DiagnosticCode, what: string, facts: readonly Fact[], call: () => T): T {
  try {
    return call()
  } catch (error) {
    if (error instanceof Diagnostic) throw error
    const said = error instanceof Error ? error.message : String(error)
    const message = said.replace(/^internal: (.*), please report/, '$1')
    const line = error instanceof Error ? error.stack?.split('\n').find((text) => /^\s+at /.test(text)) : undefined
    return fail(
      { code, message: `${what}: ${message}`, facts: [...facts, ...(line ? [['line', line.trim()] as Fact] : [])] },
      error,
    )
  }
}
