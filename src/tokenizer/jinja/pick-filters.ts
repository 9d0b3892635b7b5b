// Filters that pick or map items by an attribute, a test or another filter; and how they read attributes.
import { getItem } from './attributes.ts'
import { iterate, rest } from './compare.ts'
import { raise } from './errors.ts'
import type { Filter, Filters, Services } from './filters.ts'
import type { Bound } from './signature.ts'
import { isDigit } from './text.ts'
import { type Dict, Generator, isString, type Kwargs, Markup, textOf, truthy, Undefined, type Value } from './values.ts'

export const ignoreCase = (value: Value): Value =>
  typeof value === 'string'
    ? value.toLowerCase()
    : value instanceof Markup
      ? new Markup(value.text.toLowerCase())
      : value

/** Reads `a.b.0` of an item; what is missing on the way is `fallback`, unless that is none. */
export function attributeGetter(attribute: Value, fallback: Value = null): (item: Value) => Value {
  const parts: readonly Value[] = isString(attribute)
    ? textOf(attribute)
        .split('.')
        .map((part) => (isDigit(part) ? BigInt(part) : part))
    : attribute === null
      ? []
      : [attribute]
  return (item) => {
    let value = item
    for (const part of parts) {
      value = getItem(value, part)
      if (fallback !== null && value instanceof Undefined) value = fallback
    }
    return value
  }
}

/** What items are sorted by. */
export function sortKey(attribute: Value, caseSensitive: Value): (item: Value) => Value {
  const read = attributeGetter(attribute)
  return truthy(caseSensitive) ? read : (item) => ignoreCase(read(item))
}

function mapper(args: readonly Value[], kwargs: Dict, services: Services): (item: Value) => Value {
  if (args.length === 0 && kwargs.has('attribute')) {
    const unexpected = kwargs.keys().find((key) => key !== 'attribute' && key !== 'default')
    if (unexpected !== undefined) raise('FilterArgumentError', `Unexpected keyword argument '${unexpected}'`)
    return attributeGetter(kwargs.get('attribute')!, kwargs.get('default') ?? null)
  }
  const [name, ...more] = args
  if (name === undefined) return raise('FilterArgumentError', 'map requires a filter argument')
  const named = asKwargs(kwargs)
  return (item) => services.callFilter(name, item, more, named)
}

const asKwargs = (dict: Dict): Kwargs => new Map(dict.entries().map(([key, value]) => [key as string, value]))

function* mapItems([value, args, kwargs]: Bound, services: Services): globalThis.Generator<Value> {
  if (!truthy(value!)) return
  const map = mapper(args as readonly Value[], kwargs as Dict, services)
  for (const item of rest(iterate(value!))) yield map(item)
}

function* pick([value, args, kwargs]: Bound, services: Services, keep: boolean, byAttribute: boolean) {
  if (!truthy(value!)) return
  const given = args as readonly Value[]
  if (byAttribute && given.length === 0) raise('FilterArgumentError', 'Missing parameter for attribute name')
  const read = byAttribute ? attributeGetter(given[0]!) : (item: Value) => item
  const [name, ...more] = given.slice(byAttribute ? 1 : 0)
  const named = asKwargs(kwargs as Dict)
  const test = (item: Value) => (name === undefined ? truthy(item) : services.callTest(name, item, more, named))
  for (const item of rest(iterate(value!))) if (test(read(item)) === keep) yield item
}

const picking = (name: string, keep: boolean, byAttribute: boolean): Filter => [
  name,
  'value * **',
  (args, services) => new Generator(pick(args, services, keep, byAttribute), 'generator', 'select_or_reject'),
]

export const pickFilters: Filters = {
  map: [
    'sync_do_map',
    'value * **',
    (args, services) => new Generator(mapItems(args, services), 'generator', 'sync_do_map'),
  ],
  select: picking('sync_do_select', true, false),
  reject: picking('sync_do_reject', false, false),
  selectattr: picking('sync_do_selectattr', true, true),
  rejectattr: picking('sync_do_rejectattr', false, true),
}
