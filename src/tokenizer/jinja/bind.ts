// Between parsing and rendering: gives every scope its names and every name its place, says where output is escaped, and
// finds what jinja2 finds before it renders: unknown filters and tests, blocks of one name, break outside of a loop.
import type { BlockStatement, Escape, Expr, ForStatement, MacroBody, Statement, Target, Template } from './ast.ts'
import { findTest } from './builtin-tests.ts'
import { raise } from './errors.ts'
import { findFilter } from './filters.ts'
import { declareTarget, noteExpr, noteStatements, Scope } from './scope.ts'
import { truthy } from './values.ts'
import { bodiesOf, eachChild, exprsOf } from './walk.ts'

interface Place {
  readonly scope: Scope
  readonly escape: Escape
  /** directly inside of an `if`: unknown filters fail only when they are used */
  readonly soft: boolean
  readonly inLoop: boolean
}

export interface BoundTemplate {
  readonly body: readonly Statement[]
  readonly scope: Scope
  readonly blocks: ReadonlyMap<string, BlockStatement>
}

export function bindTemplate({ body }: Template): BoundTemplate {
  const blocks = new Map<string, BlockStatement>()
  collectBlocks(body, blocks)
  const scope = rootScope(body, ['self'])
  bindStatements(body, { scope, escape: false, soft: false, inLoop: false })
  for (const block of blocks.values()) {
    block.scope = rootScope(block.body, ['self', 'super'])
    bindStatements(block.body, { scope: block.scope, escape: false, soft: false, inLoop: false })
  }
  return { body, scope, blocks }
}

function rootScope(body: readonly Statement[], special: readonly string[]): Scope {
  const scope = new Scope(undefined)
  for (const name of undeclared(body, special)) scope.declare(name)
  noteStatements(scope, body)
  return scope
}

function collectBlocks(statements: readonly Statement[], blocks: Map<string, BlockStatement>): void {
  for (const statement of statements) {
    if (statement.kind === 'block') {
      if (blocks.has(statement.name)) {
        raise('TemplateAssertionError', `block '${statement.name}' defined twice`, statement.line)
      }
      blocks.set(statement.name, statement)
    }
    for (const body of bodiesOf(statement)) collectBlocks(body, blocks)
  }
}

/** Which of some names are used before they are assigned. */
function undeclared(statements: readonly Statement[], names: readonly string[]): Set<string> {
  const open = new Set(names)
  const found = new Set<string>()
  const visitTarget = (target: Target) => {
    if (target.kind === 'name') open.delete(target.name)
    else if (target.kind === 'tuple') for (const item of target.items) visitTarget(item as Target)
  }
  const visit = (expr: Expr) => {
    if (expr.kind === 'name' && open.has(expr.name)) found.add(expr.name)
    eachChild(expr, visit)
  }
  const visitAll = (body: readonly Statement[]) => {
    for (const statement of body) {
      if (statement.kind === 'block') continue
      if ('params' in statement) {
        if (statement.kind === 'call') visit(statement.call)
        for (const param of statement.params) open.delete(param)
        statement.defaults.forEach(visit)
      } else {
        const targets = targetsOf(statement)
        targets.forEach(visitTarget)
        for (const expr of exprsOf(statement)) if (!targets.includes(expr as Target)) visit(expr)
      }
      bodiesOf(statement).forEach(visitAll)
    }
  }
  visitAll(statements)
  return found
}

function targetsOf(statement: Statement): readonly Target[] {
  switch (statement.kind) {
    case 'for':
    case 'set':
    case 'setblock':
      return [statement.target]
    case 'with':
      return statement.targets
  }
  return []
}

function bindStatements(statements: readonly Statement[], place: Place): void {
  for (const statement of statements) bindStatement(statement, place)
}

function bindStatement(statement: Statement, place: Place): void {
  const { scope } = place
  switch (statement.kind) {
    case 'output':
      // jinja2 folds constants where it does not know yet whether to escape
      statement.escape = place.escape === 'volatile' && isConstant(statement.node) ? false : place.escape
      bindExpr(statement.node, place)
      return
    case 'for':
      bindFor(statement, place)
      return
    case 'if': {
      const soft = { ...place, soft: true }
      bindExpr(statement.test, soft)
      for (const body of bodiesOf(statement)) bindStatements(body, soft)
      return
    }
    case 'macro':
    case 'generation':
      bindMacro(statement, place)
      return
    case 'call':
      bindMacro(statement, place)
      bindExpr(statement.call, place)
      return
    case 'filter':
    case 'setblock': {
      statement.escape = place.escape
      statement.scope = new Scope(scope)
      if (statement.filter) noteExpr(statement.scope, statement.filter)
      noteStatements(statement.scope, statement.body)
      const inner = { ...place, scope: statement.scope, soft: false }
      bindStatements(statement.body, inner)
      if (statement.filter) bindExpr(statement.filter, inner)
      if (statement.kind === 'setblock') bindExpr(statement.target, place)
      return
    }
    case 'set':
      bindExpr(statement.value, place)
      bindExpr(statement.target, place)
      return
    case 'with': {
      statement.scope = new Scope(scope)
      for (const target of statement.targets) declareTarget(statement.scope, target)
      noteStatements(statement.scope, statement.body)
      for (const value of statement.values) bindExpr(value, place)
      const inner = { ...place, scope: statement.scope, soft: false }
      for (const target of statement.targets) bindExpr(target, inner)
      bindStatements(statement.body, inner)
      return
    }
    case 'autoescape': {
      statement.scope = new Scope(scope)
      noteExpr(statement.scope, statement.value)
      noteStatements(statement.scope, statement.body)
      const inner = { ...place, scope: statement.scope, soft: false }
      bindExpr(statement.value, inner)
      const inside: Escape =
        place.escape === 'volatile' || statement.value.kind !== 'const' ? 'volatile' : truthy(statement.value.value)
      bindStatements(statement.body, { ...inner, escape: inside })
      return
    }
    case 'load':
      bindExpr(statement.template, place)
      return
    case 'break':
    case 'continue':
      if (!place.inLoop) {
        const message = statement.kind === 'break' ? "'break' outside loop" : "'continue' not properly in loop"
        raise('SyntaxError', message, statement.line)
      }
  }
}

function isConstant(expr: Expr): boolean {
  if (['name', 'nsref', 'call', 'filter', 'test'].includes(expr.kind)) return false
  let constant = true
  eachChild(expr, (child) => {
    constant &&= isConstant(child)
  })
  return constant
}

function bindFor(statement: ForStatement, place: Place): void {
  refuseLoopAssignment(statement)
  const bodyScope = new Scope(place.scope)
  bodyScope.declare('loop')
  declareTarget(bodyScope, statement.target)
  noteStatements(bodyScope, statement.body)
  bindExpr(statement.iter, place)
  const body = { ...place, scope: bodyScope, soft: false, inLoop: true }
  bindExpr(statement.target, body)
  bindStatements(statement.body, body)
  if (statement.test) {
    const testScope = new Scope(place.scope)
    declareTarget(testScope, statement.target)
    noteExpr(testScope, statement.test)
    bindExpr(statement.test, { ...place, scope: testScope, soft: false })
    statement.testScope = testScope
  }
  const elseScope = new Scope(place.scope)
  noteStatements(elseScope, statement.otherwise)
  bindStatements(statement.otherwise, {
    ...{ ...place, scope: elseScope, soft: false },
    // a recursive loop is a function of its own
    inLoop: place.inLoop && !statement.recursive,
  })
  statement.bodyScope = bodyScope
  statement.elseScope = elseScope
  statement.escape = place.escape
}

function refuseLoopAssignment(statement: Statement): void {
  const visit = (target: Target) => {
    if (target.kind === 'name' && target.name === 'loop') {
      raise('TemplateAssertionError', "Can't assign to special loop variable in for-loop target", target.line)
    }
    if (target.kind === 'tuple') for (const item of target.items) visit(item as Target)
  }
  if (statement.kind !== 'with') targetsOf(statement).forEach(visit)
  for (const body of bodiesOf(statement)) body.forEach(refuseLoopAssignment)
}

function bindMacro(macro: MacroBody, place: Place): void {
  const scope = new Scope(place.scope)
  for (const param of macro.params) scope.declare(param)
  const special = undeclared(macro.body, ['caller', 'kwargs', 'varargs'])
  for (const name of special) {
    if (macro.params.includes(name)) {
      const hasDefault = macro.params.indexOf(name) >= macro.params.length - macro.defaults.length
      if (name === 'caller' && !hasDefault) {
        raise(
          'TemplateAssertionError',
          'When defining macros or call blocks the special "caller" argument must be omitted or be given a default.',
          macro.line,
        )
      }
    } else scope.declare(name)
  }
  macro.takesCaller = special.has('caller')
  macro.takesKwargs = special.has('kwargs') && !macro.params.includes('kwargs')
  macro.takesVarargs = special.has('varargs') && !macro.params.includes('varargs')
  for (const value of macro.defaults) noteExpr(scope, value)
  noteStatements(scope, macro.body)
  const inner = { ...place, scope, soft: false, inLoop: false }
  for (const value of macro.defaults) bindExpr(value, inner)
  bindStatements(macro.body, inner)
  macro.scope = scope
}

function bindExpr(expr: Expr, place: Place): void {
  switch (expr.kind) {
    case 'name':
    case 'nsref':
      expr.hops = place.scope.hopsTo(expr.name) ?? 0
      return
    case 'concat':
      expr.escape = place.escape
      break
    case 'filter':
    case 'test': {
      const known = expr.kind === 'filter' ? findFilter(expr.name) : findTest(expr.name)
      if (known === undefined && !place.soft) {
        raise('TemplateAssertionError', `No ${expr.kind} named '${expr.name}'.`, expr.line)
      }
      break
    }
    case 'cond':
      eachChild(expr, (child) => bindExpr(child, { ...place, soft: true }))
      return
  }
  eachChild(expr, (child) => bindExpr(child, place))
}
