// The tests of `x is name` by name.
import { binary } from './arithmetic.ts'
import { compares, contains, equal, isIterable, isSequence } from './compare.ts'
import { findFilter, type Services } from './filters.ts'
import { str } from './repr.ts'
import type { Bound, Parameters } from './signature.ts'
import { isLower, isUpper } from './text.ts'
import { Dict, isNumber, isString, Markup, PythonObject, textOf, Undefined, type Value } from './values.ts'

type BuiltinTest = readonly [name: string, parameters: Parameters, run: (args: Bound, services: Services) => boolean]

const EQUAL: BuiltinTest = ['eq', '/ a b', ([a, b]) => equal(a!, b!)]
const NOT_EQUAL: BuiltinTest = ['ne', '/ a b', ([a, b]) => !equal(a!, b!)]
const ordered = (name: string, op: '<' | '<=' | '>' | '>='): BuiltinTest => [
  name,
  '/ a b',
  ([a, b]) => compares(a!, op, b!),
]
const [LESS, LESS_EQUAL] = [ordered('lt', '<'), ordered('le', '<=')]
const [GREATER, GREATER_EQUAL] = [ordered('gt', '>'), ordered('ge', '>=')]
const simple = (name: string, run: (value: Value) => boolean): BuiltinTest => [
  `test_${name}`,
  'value',
  ([value]) => run(value!),
]

const same = (a: Value, b: Value) => Object.is(a, b) || (typeof a === 'number' && a === b)

const tests: Readonly<Record<string, BuiltinTest>> = {
  odd: simple('odd', (value) => equal(binary('%', value, 2n), 1n)),
  even: simple('even', (value) => equal(binary('%', value, 2n), 0n)),
  divisibleby: ['test_divisibleby', 'value num', ([value, by]) => equal(binary('%', value!, by!), 0n)],
  defined: simple('defined', (value) => !(value instanceof Undefined)),
  undefined: simple('undefined', (value) => value instanceof Undefined),
  filter: simple('filter', (value) => isString(value) && findFilter(textOf(value)) !== undefined),
  test: simple('test', (value) => isString(value) && findTest(textOf(value)) !== undefined),
  none: simple('none', (value) => value === null),
  boolean: simple('boolean', (value) => typeof value === 'boolean'),
  false: simple('false', (value) => value === false),
  true: simple('true', (value) => value === true),
  integer: simple('integer', (value) => typeof value === 'bigint'),
  float: simple('float', (value) => typeof value === 'number'),
  lower: simple('lower', (value) => isLower(str(value))),
  upper: simple('upper', (value) => isUpper(str(value))),
  string: simple('string', isString),
  mapping: simple('mapping', (value) => value instanceof Dict),
  number: simple('number', isNumber),
  sequence: simple('sequence', isSequence),
  iterable: simple('iterable', isIterable),
  callable: [
    'callable',
    '/ obj',
    ([value]) => value instanceof Undefined || (value instanceof PythonObject && value.call !== undefined),
  ],
  sameas: ['test_sameas', 'value other', ([a, b]) => same(a!, b!)],
  escaped: simple('escaped', (value) => value instanceof Markup),
  in: ['test_in', 'value seq', ([value, container]) => contains(container!, value!)],
  '==': EQUAL,
  eq: EQUAL,
  equalto: EQUAL,
  '!=': NOT_EQUAL,
  ne: NOT_EQUAL,
  '>': GREATER,
  gt: GREATER,
  greaterthan: GREATER,
  '>=': GREATER_EQUAL,
  ge: GREATER_EQUAL,
  '<': LESS,
  lt: LESS,
  lessthan: LESS,
  '<=': LESS_EQUAL,
  le: LESS_EQUAL,
}

export const findTest = (name: string): BuiltinTest | undefined =>
  Object.hasOwn(tests, name) ? tests[name] : undefined
