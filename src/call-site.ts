// Where the user's program called us. What goes wrong later, behind other promises, would name our own loops; every public
// call that is asynchronous takes down its caller's lines first and gives them to the errors that come of it.
import { callerFrames, Diagnostic } from '../ir/diagnostic.ts'

/** Lines of the user's program, as a stack has them. */
export type CallSite = string

/** The lines that called `entry`, a function of the public API that runs now. */
export const callSite = (entry: (...args: never[]) => unknown): CallSite => callerFrames(entry)

const placed = new WeakMap<Diagnostic, CallSite>()

/** The error as it is thrown to this caller: one that is told to several has the lines of each. */
export function placeError(error: unknown, site: CallSite): unknown {
  if (!(error instanceof Diagnostic) || site === '') return error
  const known = placed.get(error)
  if (known === site) return error
  const { code, summary: message, facts, help } = error
  const own =
    known === undefined
      ? error
      : new Diagnostic({ code, message, facts, ...(help ? { help } : {}) }, { cause: error.cause })
  own.stack = `${own.message}${site}`
  placed.set(own, site)
  return own
}

/** Runs what a public call does; its Diagnostics point at the caller. */
export async function at<T>(site: CallSite, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw placeError(error, site)
  }
}
