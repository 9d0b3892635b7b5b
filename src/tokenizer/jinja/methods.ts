// Methods of values by type, and those that the immutable sandbox refuses.

import { markupMethod } from './markup-methods.ts'
import {
  bytesMethods,
  dictMethods,
  floatMethods,
  intMethods,
  listMethods,
  numberAttribute,
  viewMethods,
} from './object-methods.ts'
import { type Bound, bind, type Parameters } from './signature.ts'
import { stringMethods } from './string-methods.ts'
import {
  Bytes,
  Callable,
  Dict,
  DictView,
  isInt,
  isList,
  Markup,
  PythonObject,
  Range,
  Tuple,
  typeName,
  type Value,
} from './values.ts'

type Method<T> = readonly [parameters: Parameters, run: (self: T, args: Bound) => Value]
export type Methods<T> = Readonly<Record<string, Method<T>>>

const LIST_MUTATORS = ['append', 'clear', 'pop', 'reverse', 'insert', 'sort', 'extend', 'remove']
const DICT_MUTATORS = ['clear', 'pop', 'popitem', 'setdefault', 'update']

export function isMutator(value: Value, name: string): boolean {
  if (isList(value)) return LIST_MUTATORS.includes(name)
  return value instanceof Dict && DICT_MUTATORS.includes(name)
}

/** A method bound to its object, or an attribute of a number. */
export function findMethod(value: Value, name: string): Value | undefined {
  if (typeof value === 'string') return bound(value, stringMethods, name)
  if (value instanceof Markup) return markupMethod(value, name)
  if (isInt(value)) return numberAttribute(value, name) ?? bound(BigInt(value), intMethods, name, value)
  if (typeof value === 'number') return numberAttribute(value, name) ?? bound(value, floatMethods, name)
  if (isList(value)) return bound(value, listMethods, name)
  if (value === null || !(value instanceof PythonObject)) return undefined
  if (value instanceof Dict) return bound(value, dictMethods, name)
  if (value instanceof Tuple) return name === 'copy' ? undefined : bound(value.items, listMethods, name, value)
  if (value instanceof Range)
    return name === 'copy' ? undefined : bound<readonly Value[]>(value.list(), listMethods, name, value)
  if (value instanceof DictView) return value.kind === 'values' ? undefined : bound(value, viewMethods, name)
  if (value instanceof Bytes) return bound(value, bytesMethods, name)
  return undefined
}

function bound<T>(self: T, methods: Methods<T>, name: string, owner: Value = self as Value): Callable | undefined {
  if (!Object.hasOwn(methods, name)) return undefined
  const [parameters, run] = methods[name]!
  const type = typeName(owner)
  return new Callable(
    `<built-in method ${name} of ${type} object at ADDRESS>`,
    (args, kwargs) => run(self, bind(`${type}.${name}`, parameters, args, kwargs)),
    { typeName: 'builtin_function_or_method' },
  )
}
