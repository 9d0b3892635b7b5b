// What a rendering knows while it runs: variables, frames of scopes, whether output is escaped.
import { findTest } from './builtin-tests.ts'
import { raise, TooDeep } from './errors.ts'
import { findFilter, type Services } from './filters.ts'
import { repr } from './repr.ts'
import type { Load, Scope } from './scope.ts'
import { bind } from './signature.ts'
import { isString, type Kwargs, textOf, Undefined, type Value } from './values.ts'

/** calls of macros and recursive loops inside of each other */
const MAX_CALLS = 200

/** Values of a scope's names; undefined where nothing was assigned. */
export class Frame {
  readonly scope: Scope
  readonly parent: Frame | undefined
  readonly values = new Map<string, Value | undefined>()

  constructor(scope: Scope, parent: Frame | undefined, state: State) {
    this.scope = scope
    this.parent = parent
    for (const [name, load] of scope.loads) this.values.set(name, this.#initial(name, load, state))
  }

  #initial(name: string, load: Load, state: State): Value | undefined {
    switch (load.from) {
      case 'context':
        return state.variable(name)
      case 'outer':
        return this.parent!.up(load.hops).values.get(name)
    }
    return undefined
  }

  up(hops: number): Frame {
    let frame: Frame = this
    for (let hop = 0; hop < hops; hop++) frame = frame.parent!
    return frame
  }
}

export class State implements Services {
  autoescape = false
  /** what the root has assigned, which blocks see; innermost first */
  #exported: readonly Map<string, Value>[] = [new Map()]
  readonly #variables: ReadonlyMap<string, Value>
  #calls = 0
  #seed = 1

  constructor(variables: ReadonlyMap<string, Value>) {
    this.#variables = variables
  }

  variable(name: string): Value | undefined {
    for (const values of this.#exported) {
      const value = values.get(name)
      if (value !== undefined) return value
    }
    return this.#variables.get(name)
  }

  export(name: string, value: Value): void {
    this.#exported.at(-1)!.set(name, value)
  }

  /** Runs a scoped block, which sees the names around it. */
  withLocals<T>(locals: Map<string, Value>, run: () => T): T {
    const before = this.#exported
    this.#exported = [locals, ...before]
    try {
      return run()
    } finally {
      this.#exported = before
    }
  }

  withEscape<T>(autoescape: boolean, run: () => T): T {
    const before = this.autoescape
    this.autoescape = autoescape
    const result = run()
    this.autoescape = before // an error ends the rendering: nothing to restore then
    return result
  }

  enterCall<T>(run: () => T): T {
    if (++this.#calls > MAX_CALLS) throw new TooDeep()
    const result = run()
    this.#calls--
    return result
  }

  callFilter(name: Value, value: Value, args: readonly Value[], kwargs: Kwargs): Value {
    const filter = isString(name) ? findFilter(textOf(name)) : undefined
    if (filter === undefined) return unknown('filter', name)
    const [pythonName, parameters, run] = filter
    return run(bind(pythonName, parameters, [value, ...args], kwargs), this)
  }

  callTest(name: Value, value: Value, args: readonly Value[], kwargs: Kwargs): boolean {
    const test = isString(name) ? findTest(textOf(name)) : undefined
    if (test === undefined) return unknown('test', name)
    const [pythonName, parameters, run] = test
    return run(bind(pythonName, parameters, [value, ...args], kwargs), this)
  }

  random(count: number): number {
    this.#seed = (this.#seed * 48271) % 0x7fffffff // the minimal standard generator
    return this.#seed % count
  }
}

function unknown(kind: 'filter' | 'test', name: Value): never {
  if (name instanceof Undefined) return raise(name.exception, name.message)
  const shown = repr(name)
  return raise('TemplateRuntimeError', `No ${kind} named ${shown}.`)
}
