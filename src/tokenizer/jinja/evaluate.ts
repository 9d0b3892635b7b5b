// Values of expressions.
import { binary, unary } from './arithmetic.ts'
import type { Arguments, CompareOp, Expr } from './ast.ts'
import { getAttribute, getItem, getSlice } from './attributes.ts'
import { findTest } from './builtin-tests.ts'
import { compares, contains, equal, toList } from './compare.ts'
import { raise, typeError } from './errors.ts'
import { findFilter } from './filters.ts'
import { escapeHtml } from './markup.ts'
import { str } from './repr.ts'
import type { Frame, State } from './state.ts'
import {
  Dict,
  isString,
  type Kwargs,
  Markup,
  PythonObject,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

/** `blockText`: what the filter of a block is applied to. */
export function evaluate(expr: Expr, frame: Frame, state: State, blockText?: Value): Value {
  const of = (child: Expr) => evaluate(child, frame, state)
  switch (expr.kind) {
    case 'const':
      return expr.value
    case 'name': {
      const value = frame.up(expr.hops).values.get(expr.name)
      return value === undefined ? new Undefined(() => `'${expr.name}' is undefined`) : value
    }
    case 'tuple':
      return new Tuple(expr.items.map(of))
    case 'list':
      return expr.items.map(of)
    case 'dict':
      return new Dict(expr.pairs.map(([key, value]) => [of(key), of(value)] as const))
    case 'unary':
      return expr.op === 'not' ? !truthy(of(expr.node)) : unary(expr.op, of(expr.node))
    case 'binary':
      return binary(expr.op, of(expr.left), of(expr.right))
    case 'logic': {
      const left = of(expr.left)
      return truthy(left) === (expr.op === 'and') ? of(expr.right) : left
    }
    case 'concat': {
      const parts = expr.items.map(of)
      if (expr.escape !== true || !parts.some((part) => part instanceof Markup)) return parts.map(str).join('')
      return new Markup(parts.map((part) => escapeHtml(part).text).join(''))
    }
    case 'compare': {
      let left = of(expr.first)
      for (const [op, node] of expr.rest) {
        const right = of(node)
        if (!compare(left, op, right)) return false
        left = right
      }
      return true
    }
    case 'filter': {
      const value = expr.node === undefined ? blockText! : evaluate(expr.node, frame, state, blockText)
      const { args, kwargs } = evaluateArguments(expr.args, frame, state, expr.name)
      if (findFilter(expr.name) === undefined) raise('TemplateRuntimeError', `No filter named '${expr.name}' found.`)
      return state.callFilter(expr.name, value, args, kwargs)
    }
    case 'test': {
      const value = of(expr.node)
      const { args, kwargs } = evaluateArguments(expr.args, frame, state, expr.name)
      if (findTest(expr.name) === undefined) raise('TemplateRuntimeError', `No test named '${expr.name}' found.`)
      return state.callTest(expr.name, value, args, kwargs)
    }
    case 'call': {
      const callee = of(expr.node)
      const { args, kwargs } = evaluateArguments(expr.args, frame, state, typeName(callee))
      return call(callee, args, kwargs)
    }
    case 'getattr':
      return getAttribute(of(expr.node), expr.name)
    case 'getitem': {
      const { arg } = expr
      const value = of(expr.node)
      if (arg.kind !== 'slice') return getItem(value, of(arg))
      const part = (child: Expr | undefined) => (child === undefined ? null : of(child))
      return getSlice(value, part(arg.start), part(arg.stop), part(arg.step))
    }
    case 'cond': {
      if (truthy(of(expr.test))) return of(expr.value)
      if (expr.otherwise !== undefined) return of(expr.otherwise)
      return new Undefined(
        () => `the inline if-expression on line ${expr.line} evaluated to false and no else section was defined.`,
      )
    }
    case 'slice':
      return typeError('a slice of several parts is not a value')
    case 'nsref':
      return raise('TemplateRuntimeError', 'a namespace attribute can only be assigned to')
  }
}

function compare(left: Value, op: CompareOp, right: Value): boolean {
  switch (op) {
    case '==':
      return equal(left, right)
    case '!=':
      return !equal(left, right)
    case 'in':
      return contains(right, left)
    case 'not in':
      return !contains(right, left)
  }
  return compares(left, op, right)
}

export function call(callee: Value, args: readonly Value[], kwargs: Kwargs): Value {
  if (callee instanceof Undefined) return raise(callee.exception, callee.message)
  const run = callee instanceof PythonObject ? callee.call : undefined
  return run === undefined ? typeError(`'${typeName(callee)}' object is not callable`) : run(args, kwargs)
}

export function evaluateArguments(
  given: Arguments,
  frame: Frame,
  state: State,
  name: string,
): { args: readonly Value[]; kwargs: Map<string, Value> } {
  const args = given.args.map((arg) => evaluate(arg, frame, state))
  const kwargs = new Map<string, Value>()
  for (const [key, value] of given.kwargs) {
    if (kwargs.has(key)) raise('SyntaxError', `keyword argument repeated: ${key}`)
    kwargs.set(key, evaluate(value, frame, state))
  }
  if (given.star) args.push(...toList(evaluate(given.star, frame, state)))
  if (given.doubleStar) {
    const more = evaluate(given.doubleStar, frame, state)
    if (!(more instanceof Dict)) {
      if (more instanceof Undefined) return raise(more.exception, more.message)
      return typeError(`${name}() argument after ** must be a mapping, not ${typeName(more)}`)
    }
    for (const [key, value] of more.entries()) {
      if (!isString(key)) return typeError('keywords must be strings')
      if (kwargs.has(textOf(key)))
        return typeError(`${name}() got multiple values for keyword argument '${textOf(key)}'`)
      kwargs.set(textOf(key), value)
    }
  }
  return { args, kwargs }
}
