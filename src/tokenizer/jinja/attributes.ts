// `x.name`, `x[key]` and `x[a:b:c]`, with what jinja2's immutable sandbox refuses.
import { raise, TemplateError, typeError, valueError } from './errors.ts'
import { findMethod, isMutator } from './methods.ts'
import { repr } from './repr.ts'
import { hasAstral } from './text.ts'
import {
  Bytes,
  Dict,
  describeType,
  isInt,
  isList,
  isString,
  Markup,
  PythonObject,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

/** Attributes that every object has in Python: the sandbox refuses them. */
const INTERNAL =
  /^__(class|doc|init|new|eq|ne|lt|le|gt|ge|hash|repr|str|dir|format|getattribute|setattr|delattr|reduce|reduce_ex|sizeof|subclasshook|init_subclass|getstate|dict|module|call|globals|code|closure|self|name|qualname|len|getitem|contains|iter|add|mul|rmul|mod|rmod)__$/

export function missingAttribute(value: Value, name: Value): Undefined {
  return new Undefined(() =>
    isString(name)
      ? `${repr(describeType(value))} has no attribute ${repr(name)}`
      : `${describeType(value)} has no element ${repr(name)}`,
  )
}

const unsafe = (value: Value, name: string) =>
  new Undefined(
    () => `access to attribute ${repr(name)} of ${repr(typeName(value))} object is unsafe.`,
    'SecurityError',
  )

/** The attribute itself, without falling back to items; undefined when there is none. */
export function ownAttribute(value: Value, name: string): Value | undefined {
  if (value instanceof Undefined && !/^__.*__$/.test(name)) return raise(value.exception, value.message)
  const found = value instanceof PythonObject ? value.attribute(name) : undefined
  if (found !== undefined) return name.startsWith('_') ? unsafe(value, name) : found
  if (INTERNAL.test(name) || isMutator(value, name)) return unsafe(value, name)
  return findMethod(value, name)
}

export function getAttribute(value: Value, name: string): Value {
  const found = ownAttribute(value, name)
  if (found !== undefined) return found
  if (value instanceof Undefined) return raise(value.exception, value.message)
  if (value instanceof Dict) {
    const item = value.get(name)
    if (item !== undefined) return item
  }
  return missingAttribute(value, name)
}

export function getItem(value: Value, key: Value): Value {
  const item = itemIfAny(value, key)
  if (item !== undefined) return item
  const attribute = isString(key) ? ownAttribute(value, textOf(key)) : undefined
  return attribute === undefined ? missingAttribute(value, key) : attribute
}

function itemIfAny(value: Value, key: Value): Value | undefined {
  if (value instanceof Undefined) return raise(value.exception, value.message)
  if (value instanceof Dict) {
    try {
      return value.get(key)
    } catch (error) {
      if (error instanceof TemplateError && error.type === 'TypeError') return undefined // not hashable
      throw error
    }
  }
  if (!isInt(key)) return undefined
  const index = Number(key)
  if (isList(value)) return value.at(index)
  if (value instanceof Tuple) return value.items.at(index)
  if (isString(value)) {
    const text = textOf(value)
    const char = hasAstral(text) ? [...text].at(index) : text.at(index)
    return char !== undefined && value instanceof Markup ? new Markup(char) : char
  }
  if (value instanceof Range) {
    const at = index < 0 ? index + value.length : index
    return at >= 0 && at < value.length ? value.at(at) : undefined
  }
  if (value instanceof Bytes) {
    const byte = value.bytes.at(index)
    return byte === undefined ? undefined : BigInt(byte)
  }
  return undefined
}

/** Slices do not fall back to anything: what cannot be sliced is an error. */
export function getSlice(value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) return raise(value.exception, value.message)
  if (isString(value)) {
    const text = sliceText(textOf(value), start, stop, step)
    return value instanceof Markup ? new Markup(text) : text
  }
  if (isList(value)) return sliceItems(value, start, stop, step)
  if (value instanceof Tuple) return new Tuple(sliceItems(value.items, start, stop, step))
  if (value instanceof Range) {
    const [from, to, by] = sliceBounds(value.length, start, stop, step)
    return new Range(value.at(from), value.at(to), value.step * BigInt(by))
  }
  if (value instanceof Bytes) return new Bytes(Uint8Array.from(sliceItems([...value.bytes], start, stop, step)))
  if (value instanceof Dict) return typeError("unhashable type: 'slice'")
  return typeError(`'${typeName(value)}' object is not subscriptable`)
}

function sliceText(text: string, start: Value, stop: Value, step: Value): string {
  if (hasAstral(text)) return sliceItems([...text], start, stop, step).join('')
  const [from, to, by] = sliceBounds(text.length, start, stop, step)
  return by === 1 ? text.slice(from, Math.max(from, to)) : sliceItems(text.split(''), start, stop, step).join('')
}

function sliceItems<T>(items: readonly T[], start: Value, stop: Value, step: Value): T[] {
  const [from, to, by] = sliceBounds(items.length, start, stop, step)
  if (by === 1) return items.slice(from, Math.max(from, to))
  const taken: T[] = []
  for (let index = from; by > 0 ? index < to : index > to; index += by) taken.push(items[index]!)
  return taken
}

function sliceBounds(length: number, start: Value, stop: Value, step: Value): [from: number, to: number, by: number] {
  const by = bound(step) ?? 1
  if (by === 0) return valueError('slice step cannot be zero')
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1]
  const clamp = (value: number) => Math.min(high, Math.max(low, value < 0 ? value + length : value))
  const [from, to] = [bound(start), bound(stop)]
  return [
    from === undefined ? (by > 0 ? low : high) : clamp(from),
    to === undefined ? (by > 0 ? high : low) : clamp(to),
    by,
  ]
}

function bound(value: Value): number | undefined {
  if (value === null) return undefined
  if (isInt(value)) return Number(value)
  return typeError('slice indices must be integers or None or have an __index__ method')
}
