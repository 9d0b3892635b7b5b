// Where names live: the static scopes of a template, as jinja2's compiler sees them. A scope knows before it runs which
// names it will assign; so a loop that assigns a name starts from the outer value, and what the root assigns anywhere is
// never looked up among the variables that were passed in.
import type { Expr, IfStatement, Statement, Target } from './ast.ts'
import { eachChild } from './walk.ts'

/** What a name holds when its scope is entered. */
export type Load =
  /** set by whoever enters it */
  | { readonly from: 'parameter' }
  /** a variable that was passed in, or a global */
  | { readonly from: 'context' }
  /** the value in an outer scope */
  | { readonly from: 'outer'; readonly hops: number }
  | { readonly from: 'nothing' }

export class Scope {
  readonly parent: Scope | undefined
  readonly loads: Map<string, Load>
  readonly #stores: Set<string>

  constructor(parent: Scope | undefined, copied?: Scope) {
    this.parent = parent
    this.loads = new Map(copied?.loads)
    this.#stores = new Set(copied?.copyStores())
  }

  copyStores(): Set<string> {
    return new Set(this.#stores)
  }

  /** How many scopes up a name lives, or undefined. */
  hopsTo(name: string): number | undefined {
    if (this.loads.has(name)) return 0
    const outer = this.parent?.hopsTo(name)
    return outer === undefined ? undefined : outer + 1
  }

  declare(name: string): void {
    this.#stores.add(name)
    this.loads.set(name, { from: 'parameter' })
  }

  store(name: string): void {
    this.#stores.add(name)
    if (!this.loads.has(name)) this.loads.set(name, this.#outerOr('nothing', name))
  }

  load(name: string): void {
    if (this.hopsTo(name) === undefined) this.loads.set(name, { from: 'context' })
  }

  /** What is assigned in some branches only starts from what it was outside. */
  joinBranches(branches: readonly Scope[]): void {
    const stored = new Set(branches.flatMap((branch) => [...branch.#stores]).filter((name) => !this.#stores.has(name)))
    for (const branch of branches) {
      for (const [name, load] of branch.loads) this.loads.set(name, load)
      for (const name of branch.#stores) this.#stores.add(name)
    }
    for (const name of stored) this.loads.set(name, this.#outerOr('context', name))
  }

  #outerOr(from: 'nothing' | 'context', name: string): Load {
    const hops = this.parent?.hopsTo(name)
    return hops === undefined ? { from } : { from: 'outer', hops }
  }
}

/** Takes note of the names that statements use and assign, in the order in which jinja2 looks; inner scopes excepted. */
export function noteStatements(scope: Scope, statements: readonly Statement[]): void {
  for (const statement of statements) noteStatement(scope, statement)
}

function noteStatement(scope: Scope, statement: Statement): void {
  switch (statement.kind) {
    case 'output':
      noteExpr(scope, statement.node)
      return
    case 'for':
      noteExpr(scope, statement.iter)
      return
    case 'if':
      noteIf(scope, statement)
      return
    case 'macro':
      scope.store(statement.name)
      return
    case 'call':
      noteExpr(scope, statement.call)
      return
    case 'filter':
      noteExpr(scope, statement.filter)
      return
    case 'set':
      noteExpr(scope, statement.value)
      noteTarget(scope, statement.target)
      return
    case 'setblock':
      noteTarget(scope, statement.target)
      return
    case 'with':
      for (const value of statement.values) noteExpr(scope, value)
      return
    case 'load':
      noteExpr(scope, statement.template)
      for (const name of statement.names) scope.store(name)
  }
}

function noteIf(scope: Scope, statement: IfStatement): void {
  noteExpr(scope, statement.test)
  const branches = [statement.body, statement.elifs, statement.otherwise].map((body) => {
    const branch = new Scope(scope.parent, scope)
    noteStatements(branch, body)
    return branch
  })
  scope.joinBranches(branches)
}

function noteTarget(scope: Scope, target: Target): void {
  if (target.kind === 'name') scope.store(target.name)
  else if (target.kind === 'nsref') scope.load(target.name)
  else for (const item of target.items) noteTarget(scope, item as Target)
}

export function declareTarget(scope: Scope, target: Target): void {
  if (target.kind === 'name') scope.declare(target.name)
  else if (target.kind === 'tuple') for (const item of target.items) declareTarget(scope, item as Target)
}

export function noteExpr(scope: Scope, expr: Expr): void {
  if (expr.kind === 'name') scope.load(expr.name)
  else eachChild(expr, (child) => noteExpr(scope, child))
}
