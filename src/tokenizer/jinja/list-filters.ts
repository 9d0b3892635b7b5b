// Filters on lists and other sequences as wholes.
import { binary } from './arithmetic.ts'
import { compares, equal, isIterable, iterate, rest, sorted, toList } from './compare.ts'
import { raise, typeError } from './errors.ts'
import type { Filters, Services } from './filters.ts'
import { asItems } from './object-methods.ts'
import { attributeGetter, ignoreCase, sortKey } from './pick-filters.ts'
import { asIndex, type Bound } from './signature.ts'
import { codePoints } from './text.ts'
import {
  Bytes,
  Dict,
  DictView,
  Generator,
  isString,
  Markup,
  PythonObject,
  Range,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

const nothing = (message: string) => new Undefined(() => message)

/** Items from the last, of what has an order; undefined where Python's reversed() refuses. */
function reversed(value: Value): Value[] | undefined {
  if (value instanceof Undefined) return []
  const items =
    asItems(value) ??
    (isString(value) ||
    value instanceof Range ||
    value instanceof Bytes ||
    value instanceof Dict ||
    value instanceof DictView
      ? toList(value)
      : undefined)
  return items?.slice().reverse()
}

function reverse([value]: Bound): Value {
  if (isString(value!)) {
    const text = codePoints(textOf(value)).slice().reverse().join('')
    return value instanceof Markup ? new Markup(text) : text
  }
  const items = reversed(value!)
  if (items !== undefined) {
    const name =
      value instanceof Range ? 'range_iterator'
      : value instanceof Dict ? 'dict_reversekeyiterator'
      : value instanceof DictView ? `dict_reverse${value.kind.slice(0, -1)}iterator`
      : Array.isArray(value) ? 'list_reverseiterator'
      : 'reversed' // biome-ignore format: a table
    return new Generator(items, name)
  }
  return isIterable(value!) ? toList(value!).reverse() : raise('FilterArgumentError', 'argument must be iterable')
}

function extreme([value, caseSensitive = false, attribute = null]: Bound, op: '<' | '>'): Value {
  const items = toList(value!)
  const key = sortKey(attribute, caseSensitive)
  if (items.length === 0) return nothing('No aggregated item, sequence was empty.')
  let [best, bestKey]: [Value, Value] = [items[0]!, key(items[0]!)]
  for (const item of items.slice(1)) {
    const itemKey = key(item)
    if (compares(itemKey, op, bestKey)) [best, bestKey] = [item, itemKey]
  }
  return best
}

function sort([value, reverse = false, caseSensitive = false, attribute = null]: Bound): Value {
  const names = isString(attribute) ? textOf(attribute).split(',') : [attribute]
  const keys = names.map((name) => sortKey(name, caseSensitive))
  return sorted(toList(value!), (item) => keys.map((key) => key(item)), truthy(reverse))
}

function dictSort([value, caseSensitive = false, by = 'key', reverse = false]: Bound): Value {
  const position = by === 'key' ? 0 : by === 'value' ? 1 : undefined
  if (position === undefined) return raise('FilterArgumentError', 'You can only sort by either "key" or "value"')
  if (!(value instanceof Dict)) {
    if (value instanceof Undefined) return raise(value.exception, value.message)
    return raise('AttributeError', `'${typeName(value!)}' object has no attribute 'items'`)
  }
  const pairs = value.entries().map((entry) => new Tuple(entry))
  const key = (item: Value) => {
    const part = (item as Tuple).items[position]!
    return truthy(caseSensitive) ? part : ignoreCase(part)
  }
  return sorted(pairs, key, truthy(reverse))
}

function groupBy([value, attribute, fallback = null, caseSensitive = false]: Bound): Value {
  const read = attributeGetter(attribute!, fallback)
  const key = truthy(caseSensitive) ? read : (item: Value) => ignoreCase(read(item))
  const groups: { key: Value; items: Value[] }[] = []
  for (const item of sorted(toList(value!), key)) {
    const itemKey = key(item)
    const last = groups.at(-1)
    if (last !== undefined && equal(last.key, itemKey)) last.items.push(item)
    else groups.push({ key: itemKey, items: [item] })
  }
  return groups.map(({ key: group, items }) => {
    const shown = truthy(caseSensitive) ? group : read(items[0]!)
    return new Tuple([shown, items], ['grouper', 'list'])
  })
}

function sum([value, attribute = null, start = 0n]: Bound): Value {
  if (isString(start)) return typeError("sum() can't sum strings [use ''.join(seq) instead]")
  const items = toList(value!)
  const read = attribute === null ? (item: Value) => item : attributeGetter(attribute)
  return items.reduce((total: Value, item) => binary('+', total, read(item)), start)
}

function* unique(value: Value, caseSensitive: Value, attribute: Value): globalThis.Generator<Value> {
  const seen = new Dict()
  const key = sortKey(attribute, caseSensitive)
  for (const item of rest(iterate(value))) {
    const itemKey = key(item)
    if (seen.has(itemKey)) continue
    seen.set(itemKey, null)
    yield item
  }
}

function* batch(value: Value, size: Value, fill: Value): globalThis.Generator<Value> {
  let row: Value[] = []
  for (const item of rest(iterate(value))) {
    if (BigInt(row.length) === (typeof size === 'bigint' ? size : -1n) || row.length === size) {
      yield row
      row = []
    }
    row.push(item)
  }
  if (row.length === 0) return
  const missing = fill === null ? 0 : Math.max(0, asIndex(size) - row.length)
  yield [...row, ...Array<Value>(missing).fill(fill)]
}

function* slice(value: Value, count: Value, fill: Value): globalThis.Generator<Value> {
  const items = toList(value)
  const slices = asIndex(count)
  if (slices === 0) raise('ZeroDivisionError', 'integer division or modulo by zero')
  const each = Math.floor(items.length / slices)
  const longer = ((items.length % slices) + slices) % slices
  let offset = 0
  for (let index = 0; index < slices; index++) {
    const start = offset + index * each
    if (index < longer) offset++
    const row = items.slice(start, offset + (index + 1) * each)
    if (fill !== null && index >= longer) row.push(fill)
    yield row
  }
}

function* itemsOf(value: Value): globalThis.Generator<Value> {
  if (value instanceof Undefined) return
  if (!(value instanceof Dict)) typeError('Can only get item pairs from a mapping.')
  for (const entry of (value as Dict).entries()) yield new Tuple(entry)
}

function random([value]: Bound, services: Services): Value {
  const items = asItems(value!) ?? (isString(value!) || value instanceof Range ? toList(value) : undefined)
  if (items === undefined && !(value instanceof Undefined)) {
    return value instanceof PythonObject && value instanceof Dict
      ? raise('KeyError', '0')
      : typeError(`object of type '${typeName(value!)}' has no len()`)
  }
  const all = items ?? []
  return all.length === 0 ? nothing('No random item, sequence was empty.') : all[services.random(all.length)]!
}

export const listFilters: Filters = {
  list: ['sync_do_list', 'value', ([value]) => toList(value!)],
  items: ['do_items', 'value', ([value]) => new Generator(itemsOf(value!), 'generator', 'do_items')],
  first: [
    'sync_do_first',
    'seq',
    ([value]) => {
      const next = iterate(value!).next()
      return next.done ? nothing('No first item, sequence was empty.') : next.value
    },
  ],
  last: [
    'do_last',
    'seq',
    ([value]) => {
      const items = reversed(value!) ?? typeError(`'${typeName(value!)}' object is not reversible`)
      return items.length > 0 ? items[0]! : nothing('No last item, sequence was empty.')
    },
  ],
  random: ['do_random', 'seq', random],
  reverse: ['do_reverse', 'value', reverse],
  sort: ['do_sort', 'value reverse= case_sensitive= attribute=', sort],
  unique: [
    'sync_do_unique',
    'value case_sensitive= attribute=',
    ([value, caseSensitive = false, attribute = null]) =>
      new Generator(unique(value!, caseSensitive, attribute), 'generator', 'sync_do_unique'),
  ],
  min: ['do_min', 'value case_sensitive= attribute=', (args) => extreme(args, '<')],
  max: ['do_max', 'value case_sensitive= attribute=', (args) => extreme(args, '>')],
  sum: ['sync_do_sum', 'iterable attribute= start=', sum],
  dictsort: ['do_dictsort', 'value case_sensitive= by= reverse=', dictSort],
  groupby: ['sync_do_groupby', 'value attribute default= case_sensitive=', groupBy],
  batch: [
    'do_batch',
    'value linecount fill_with=',
    ([value, size, fill = null]) => new Generator(batch(value!, size!, fill), 'generator', 'do_batch'),
  ],
  slice: [
    'sync_do_slice',
    'value slices fill_with=',
    ([value, count, fill = null]) => new Generator(slice(value!, count!, fill), 'generator', 'sync_do_slice'),
  ],
}
