// Python's values in JavaScript: None is null, bool a boolean, int a bigint, float a number, str a string, list an array.
// The other types are the classes here. A template can change none of them but namespaces.
import { typeError } from './errors.ts'

export type Value = null | boolean | bigint | number | string | readonly Value[] | PythonObject

/** A value whose type has no counterpart in JavaScript. */
export abstract class PythonObject {
  /** `type(x).__name__` */
  abstract readonly typeName: string
  /** the name's module, as jinja2's messages show it */
  readonly module: string = ''
  /** what calling it does, of what can be called */
  readonly call?: Call

  /** an attribute that a template may read; undefined when there is none */
  attribute(_name: string): Value | undefined {
    return undefined
  }
}

export type Kwargs = ReadonlyMap<string, Value>
export type Call = (args: readonly Value[], kwargs: Kwargs) => Value

export class Tuple extends PythonObject {
  readonly typeName = 'tuple'
  readonly items: readonly Value[]
  /** names of the items, of what groupby gives */
  readonly fields: readonly string[]

  constructor(items: readonly Value[], fields: readonly string[] = []) {
    super()
    this.items = items
    this.fields = fields
  }

  override attribute(name: string): Value | undefined {
    return this.items[this.fields.indexOf(name)]
  }
}

/** Keys compare as in Python: 1, 1.0 and True are one key. */
export class Dict extends PythonObject {
  readonly typeName = 'dict'
  readonly #entries = new Map<unknown, [key: Value, value: Value]>()

  constructor(pairs: Iterable<readonly [Value, Value]> = []) {
    super()
    for (const [key, value] of pairs) this.set(key, value)
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(hashKey(key))?.[1]
  }

  has(key: Value): boolean {
    return this.#entries.has(hashKey(key))
  }

  /** only while it is being made: templates cannot change a dict */
  set(key: Value, value: Value): void {
    const hash = hashKey(key)
    const entry = this.#entries.get(hash)
    if (entry) entry[1] = value
    else this.#entries.set(hash, [key, value])
  }

  entries(): [Value, Value][] {
    return [...this.#entries.values()]
  }

  keys(): Value[] {
    return this.entries().map(([key]) => key)
  }
}

/** What `keys()`, `values()` and `items()` give. */
export class DictView extends PythonObject {
  readonly typeName: string
  readonly dict: Dict
  readonly kind: 'keys' | 'values' | 'items'

  constructor(dict: Dict, kind: 'keys' | 'values' | 'items') {
    super()
    this.typeName = `dict_${kind}`
    this.dict = dict
    this.kind = kind
  }

  list(): Value[] {
    const entries = this.dict.entries()
    if (this.kind === 'keys') return entries.map(([key]) => key)
    return this.kind === 'values' ? entries.map(([, value]) => value) : entries.map((entry) => new Tuple(entry))
  }
}

export class Range extends PythonObject {
  readonly typeName = 'range'
  readonly start: bigint
  readonly stop: bigint
  readonly step: bigint

  constructor(start: bigint, stop: bigint, step: bigint) {
    super()
    this.start = start
    this.stop = stop
    this.step = step
  }

  get length(): number {
    const span = this.step > 0n ? this.stop - this.start : this.start - this.stop
    const step = this.step > 0n ? this.step : -this.step
    return span <= 0n ? 0 : Number((span + step - 1n) / step)
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step
  }

  list(): bigint[] {
    return Array.from({ length: this.length }, (_, index) => this.at(index))
  }

  override attribute(name: string): Value | undefined {
    return name === 'start' || name === 'stop' || name === 'step' ? this[name] : undefined
  }
}

/** An iterator: what it has given is gone. */
export class Generator extends PythonObject {
  readonly typeName: string
  /** of a generator function, shown when it is printed */
  readonly name: string | undefined
  readonly iterator: Iterator<Value>

  constructor(values: Iterable<Value>, typeName = 'generator', name?: string) {
    super()
    this.iterator = values[Symbol.iterator]()
    this.typeName = typeName
    this.name = name
  }
}

/** Text that needs no escaping any more (markupsafe). */
export class Markup extends PythonObject {
  readonly typeName = 'Markup'
  override readonly module = 'markupsafe.'
  readonly text: string

  constructor(text: string) {
    super()
    this.text = text
  }
}

export class Bytes extends PythonObject {
  readonly typeName = 'bytes'
  readonly bytes: Uint8Array

  constructor(bytes: Uint8Array) {
    super()
    this.bytes = bytes
  }
}

/** What is not there; most uses of it are errors with its message. */
export class Undefined extends PythonObject {
  readonly typeName = 'Undefined'
  override readonly module = 'jinja2.runtime.'
  readonly #describe: () => string
  readonly exception: 'UndefinedError' | 'SecurityError'

  constructor(describe: () => string, exception: 'UndefinedError' | 'SecurityError' = 'UndefinedError') {
    super()
    this.#describe = describe
    this.exception = exception
  }

  get message(): string {
    return this.#describe()
  }
}

export class Namespace extends PythonObject {
  readonly typeName = 'Namespace'
  override readonly module = 'jinja2.utils.'
  readonly attributes: Dict

  constructor(attributes: Dict) {
    super()
    this.attributes = attributes
  }

  override attribute(name: string): Value | undefined {
    return this.attributes.get(name)
  }
}

/** Anything that can be called; attributes are those that a template may read. */
export class Callable extends PythonObject {
  readonly typeName: string
  override readonly module: string
  override readonly call: Call
  readonly #attributes: Readonly<Record<string, () => Value>>
  /** what printing it shows */
  readonly shown: string

  constructor(
    shown: string,
    call: Call,
    options: { typeName?: string; module?: string; attributes?: Readonly<Record<string, () => Value>> } = {},
  ) {
    super()
    this.shown = shown
    this.call = call
    this.typeName = options.typeName ?? 'function'
    this.module = options.module ?? ''
    this.#attributes = options.attributes ?? {}
  }

  override attribute(name: string): Value | undefined {
    return Object.hasOwn(this.#attributes, name) ? this.#attributes[name]!() : undefined
  }
}

export const isString = (value: Value): value is string | Markup => typeof value === 'string' || value instanceof Markup
export const isList = (value: Value): value is readonly Value[] => Array.isArray(value)
export const isInt = (value: Value): value is bigint | boolean =>
  typeof value === 'bigint' || typeof value === 'boolean'
export const isNumber = (value: Value): value is bigint | boolean | number => isInt(value) || typeof value === 'number'
export const textOf = (value: string | Markup): string => (typeof value === 'string' ? value : value.text)

export function typeName(value: Value): string {
  if (value === null) return 'NoneType'
  switch (typeof value) {
    case 'boolean':
      return 'bool'
    case 'bigint':
      return 'int'
    case 'number':
      return 'float'
    case 'string':
      return 'str'
  }
  return value instanceof PythonObject ? value.typeName : 'list'
}

/** How messages about undefined attributes name an object. */
export function describeType(value: Value): string {
  if (value === null) return 'None'
  return `${value instanceof PythonObject ? value.module : ''}${typeName(value)} object`
}

/** One key for all that is equal: what `hash` and `==` are to Python's dict. */
export function hashKey(value: Value): unknown {
  switch (typeof value) {
    case 'string':
      return `s${value}`
    case 'boolean':
      return value ? 'n1' : 'n0'
    case 'bigint':
      return `n${value}`
    case 'number':
      return Number.isInteger(value) ? `n${BigInt(value)}` : `n${value}`
  }
  if (value === null) return 'none'
  if (value instanceof Markup) return `s${value.text}`
  if (value instanceof Undefined) return 'undefined'
  if (value instanceof Bytes) return `b${value.bytes.join()}`
  if (value instanceof Range) return `r${value.length}:${value.start}:${value.step}`
  if (value instanceof Tuple) return `t${JSON.stringify(value.items.map(hashKeyText))}`
  if (isList(value) || value instanceof Dict) return typeError(`unhashable type: '${typeName(value)}'`)
  return value
}

const identities = new WeakMap<object, string>()
let identified = 0

function hashKeyText(value: Value): string {
  const key = hashKey(value)
  if (typeof key === 'string') return key
  const object = key as object
  const known = identities.get(object) ?? `o${identified++}`
  identities.set(object, known)
  return known
}

export function truthy(value: Value): boolean {
  switch (typeof value) {
    case 'boolean':
      return value
    case 'string':
      return value !== ''
    case 'bigint':
      return value !== 0n
    case 'number':
      return value !== 0 // NaN is true
  }
  if (value === null || value instanceof Undefined) return false
  if (isList(value)) return value.length > 0
  const length = lengthIfAny(value)
  return length === undefined || length > 0
}

/** Length of an object that has one. */
export function lengthIfAny(value: PythonObject): number | undefined {
  if (value instanceof Tuple) return value.items.length
  if (value instanceof Dict) return value.size
  if (value instanceof DictView) return value.dict.size
  if (value instanceof Range) return value.length
  if (value instanceof Bytes) return value.bytes.length
  if (value instanceof Markup) return [...value.text].length
  if (value instanceof Undefined) return 0
  return value instanceof Sized ? value.size() : undefined
}

/** Objects of the interpreter that have a length: the loop. */
export abstract class Sized extends PythonObject {
  abstract size(): number
}
