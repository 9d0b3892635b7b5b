// Equality, order and membership, and iteration.
import { raise, TemplateError, typeError, valueError } from './errors.ts'
import { codePoints, lengthOf } from './text.ts'
import {
  Bytes,
  Dict,
  DictView,
  Generator,
  hashKey,
  isInt,
  isList,
  isNumber,
  isString,
  lengthIfAny,
  Markup,
  PythonObject,
  Range,
  Sized,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

export function equal(a: Value, b: Value): boolean {
  if (isNumber(a) && isNumber(b)) return sameNumber(plain(a), plain(b))
  if (isString(a) && isString(b)) return textOf(a) === textOf(b)
  if (isList(a) && isList(b)) return equalItems(a, b)
  if (a instanceof Tuple && b instanceof Tuple) return equalItems(a.items, b.items)
  if (a instanceof Dict && b instanceof Dict) {
    return a.size === b.size && a.entries().every(([key, value]) => b.has(key) && same(value, b.get(key)!))
  }
  if (a instanceof DictView && b instanceof DictView && a.kind !== 'values' && b.kind !== 'values') {
    const [left, right] = [a.list(), b.list()]
    return left.length === right.length && left.every((item) => right.some((other) => equal(item, other)))
  }
  if (a instanceof Undefined || b instanceof Undefined) return a instanceof Undefined && b instanceof Undefined
  if ((a instanceof Range && b instanceof Range) || (a instanceof Bytes && b instanceof Bytes)) {
    return (
      hashKey(a) === hashKey(b) || (a instanceof Range && a.length === 1 && equalItems(a.list(), (b as Range).list()))
    )
  }
  return a === b
}

// biome-ignore lint/suspicious/noDoubleEquals: an int equals a float of its value, exactly
const sameNumber = (a: bigint | number, b: bigint | number) => a == b

const plain = (value: bigint | boolean | number) => (typeof value === 'boolean' ? BigInt(value) : value)

/** identity or equality, as containers compare their items */
const same = (a: Value, b: Value) => a === b || Object.is(a, b) || equal(a, b)

const equalItems = (a: readonly Value[], b: readonly Value[]) =>
  a.length === b.length && a.every((item, index) => same(item, b[index]!))

/** Less than, 0 or greater; throws where Python knows no order. undefined: NaN is among them. */
function order(a: Value, b: Value, op: string): number | undefined {
  if (isNumber(a) && isNumber(b)) {
    const [x, y] = [plain(a), plain(b)]
    return x < y ? -1 : x > y ? 1 : sameNumber(x, y) ? 0 : undefined
  }
  if (isString(a) && isString(b)) return compareText(textOf(a), textOf(b))
  const [left, right] = [isList(a) ? a : undefined, isList(b) ? b : undefined]
  const items =
    left && right
      ? ([left, right] as const)
      : a instanceof Tuple && b instanceof Tuple
        ? ([a.items, b.items] as const)
        : undefined
  if (items) {
    const [x, y] = items
    for (let index = 0; index < Math.min(x.length, y.length); index++) {
      if (!same(x[index]!, y[index]!)) return order(x[index]!, y[index]!, op)
    }
    return x.length - y.length
  }
  for (const value of [a, b]) if (value instanceof Undefined) return raise(value.exception, value.message)
  if (a instanceof Bytes && b instanceof Bytes) return Buffer.compare(a.bytes, b.bytes)
  return typeError(`'${op}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`)
}

/** By code points, which 16-bit units are not in the order of. */
function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const [x, y] = [a.charCodeAt(index), b.charCodeAt(index)]
    if (x !== y) {
      const [surrogateX, surrogateY] = [(x & 0xf800) === 0xd800, (y & 0xf800) === 0xd800]
      return surrogateX === surrogateY ? x - y : surrogateX ? 1 : -1
    }
  }
  return a.length - b.length
}

export function compares(a: Value, op: '<' | '<=' | '>' | '>=', b: Value): boolean {
  if (a instanceof DictView && b instanceof DictView && a.kind !== 'values' && b.kind !== 'values') {
    const subset = (x: DictView, y: DictView) => x.list().every((item) => y.list().some((other) => equal(item, other)))
    const [small, large] = op[0] === '<' ? [a, b] : [b, a]
    return subset(small, large) && (op.length === 2 || small.dict.size < large.dict.size)
  }
  const sign = order(a, b, op)
  if (sign === undefined) return false
  return op === '<' ? sign < 0 : op === '<=' ? sign <= 0 : op === '>' ? sign > 0 : sign >= 0
}

/** `item in container` */
export function contains(container: Value, item: Value): boolean {
  if (isString(container)) {
    if (isString(item)) return textOf(container).includes(textOf(item))
    return typeError(`'in <string>' requires string as left operand, not ${typeName(item)}`)
  }
  if (container instanceof Dict) return container.has(item)
  if (container instanceof DictView && container.kind === 'keys') return container.dict.has(item)
  if (container instanceof Range && isInt(item)) {
    const { start, step, length } = container
    const offset = BigInt(item) - start
    return offset % step === 0n && offset / step >= 0n && offset / step < BigInt(length)
  }
  if (container instanceof Bytes) {
    if (isInt(item)) return container.bytes.includes(Number(item))
    if (item instanceof Bytes) return Buffer.from(container.bytes).includes(Buffer.from(item.bytes))
    return typeError(`a bytes-like object is required, not '${typeName(item)}'`)
  }
  const iterator = iteratorIfAny(container)
  if (iterator === undefined) return typeError(`argument of type '${typeName(container)}' is not iterable`)
  for (let next = iterator.next(); !next.done; next = iterator.next()) if (same(next.value, item)) return true
  return false
}

/** Objects of the interpreter that can be iterated over: the loop. */
function iteratorIfAny(value: Value): Iterator<Value> | undefined {
  if (isList(value)) return value[Symbol.iterator]()
  if (typeof value === 'string' || value instanceof Markup) return codePoints(textOf(value))[Symbol.iterator]()
  if (value === null || !(value instanceof PythonObject)) return undefined
  if (value instanceof Tuple) return value.items[Symbol.iterator]()
  if (value instanceof Dict) return value.keys()[Symbol.iterator]()
  if (value instanceof DictView || value instanceof Range) return value.list()[Symbol.iterator]()
  if (value instanceof Generator) return value.iterator
  if (value instanceof Bytes) return [...value.bytes].map(BigInt)[Symbol.iterator]()
  if (value instanceof Undefined) return [][Symbol.iterator]()
  return Symbol.iterator in value ? (value as unknown as Iterable<Value>)[Symbol.iterator]() : undefined
}

export const isIterable = (value: Value): boolean => iteratorIfAny(value) !== undefined

export function iterate(value: Value): Iterator<Value> {
  return iteratorIfAny(value) ?? typeError(`'${typeName(value)}' object is not iterable`)
}

export function toList(value: Value): Value[] {
  if (isList(value)) return [...value]
  const iterator = iterate(value)
  const items: Value[] = []
  for (let next = iterator.next(); !next.done; next = iterator.next()) items.push(next.value)
  return items
}

/** Exactly so many items, as assignments to several names want. */
export function unpack(value: Value, count: number): Value[] {
  let items: Value[]
  try {
    items = toList(value)
  } catch (error) {
    if (error instanceof TemplateError && error.type === 'TypeError' && !isString(value)) {
      return typeError(`cannot unpack non-iterable ${typeName(value)} object`)
    }
    throw error
  }
  if (items.length > count) return valueError(`too many values to unpack (expected ${count})`)
  if (items.length < count) {
    return valueError(`not enough values to unpack (expected ${count}, got ${items.length})`)
  }
  return items
}

/** A sequence that goes on with what an iterator has left. */
export function* rest(iterator: Iterator<Value>): Generator_ {
  for (let next = iterator.next(); !next.done; next = iterator.next()) yield next.value
}
type Generator_ = globalThis.Generator<Value>

/** `len(x)` */
export function len(value: Value): bigint {
  if (typeof value === 'string') return BigInt(lengthOf(value))
  if (isList(value)) return BigInt(value.length)
  const length = value instanceof PythonObject ? lengthIfAny(value) : undefined
  if (length === undefined) return typeError(`object of type '${typeName(value)}' has no len()`)
  return BigInt(length)
}

/** A stable sort by keys, with Python's order; reverse keeps equal items as they were. */
export function sorted(items: readonly Value[], key: (item: Value) => Value, reverse = false): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }))
  const sign = reverse ? -1 : 1
  keyed.sort((a, b) => (compares(a.key, '<', b.key) ? -sign : compares(b.key, '<', a.key) ? sign : 0))
  return keyed.map(({ item }) => item)
}

/** Whether an object has a length and can be indexed. */
export const isSequence = (value: Value): boolean =>
  typeof value === 'string' ||
  isList(value) ||
  (value instanceof PythonObject &&
    lengthIfAny(value) !== undefined &&
    !(value instanceof Sized || value instanceof DictView))
