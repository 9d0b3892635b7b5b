// Visits the parts of expressions and statements.
import type { Arguments, Expr, Statement } from './ast.ts'

type Visit = (expr: Expr) => void

export function eachChild(expr: Expr, visit: Visit): void {
  const optional = (child: Expr | undefined) => {
    if (child) visit(child)
  }
  switch (expr.kind) {
    case 'tuple':
    case 'list':
    case 'concat':
      expr.items.forEach(visit)
      return
    case 'dict':
      for (const [key, value] of expr.pairs) {
        visit(key)
        visit(value)
      }
      return
    case 'unary':
    case 'getattr':
      visit(expr.node)
      return
    case 'binary':
    case 'logic':
      visit(expr.left)
      visit(expr.right)
      return
    case 'compare':
      visit(expr.first)
      for (const [, node] of expr.rest) visit(node)
      return
    case 'filter':
    case 'test':
    case 'call':
      optional(expr.node)
      eachArgument(expr.args, visit)
      return
    case 'getitem':
      visit(expr.node)
      visit(expr.arg)
      return
    case 'slice':
      optional(expr.start)
      optional(expr.stop)
      optional(expr.step)
      return
    case 'cond':
      visit(expr.test)
      visit(expr.value)
      optional(expr.otherwise)
  }
}

function eachArgument(args: Arguments, visit: Visit): void {
  args.args.forEach(visit)
  for (const [, value] of args.kwargs) visit(value)
  if (args.star) visit(args.star)
  if (args.doubleStar) visit(args.doubleStar)
}

/** Blocks of statements inside of a statement. */
export function bodiesOf(statement: Statement): readonly (readonly Statement[])[] {
  switch (statement.kind) {
    case 'for':
      return [statement.body, statement.otherwise]
    case 'if':
      return [statement.body, statement.elifs, statement.otherwise]
    case 'macro':
    case 'call':
    case 'generation':
    case 'filter':
    case 'setblock':
    case 'with':
    case 'autoescape':
    case 'block':
      return [statement.body]
  }
  return []
}

/** Expressions of a statement itself, targets included, in source order. */
export function exprsOf(statement: Statement): readonly Expr[] {
  switch (statement.kind) {
    case 'output':
      return [statement.node]
    case 'for':
      return [statement.target, statement.iter, ...(statement.test ? [statement.test] : [])]
    case 'if':
      return [statement.test]
    case 'macro':
    case 'generation':
      return statement.defaults
    case 'call':
      return [statement.call, ...statement.defaults]
    case 'filter':
      return [statement.filter]
    case 'set':
      return [statement.target, statement.value]
    case 'setblock':
      return [statement.target, ...(statement.filter ? [statement.filter] : [])]
    case 'with':
      return [...statement.targets, ...statement.values]
    case 'autoescape':
      return [statement.value]
    case 'load':
      return [statement.template]
  }
  return []
}
