// The variable `loop`.
import { equal, len } from './compare.ts'
import { raise, typeError } from './errors.ts'
import { bind } from './signature.ts'
import {
  type Call,
  Callable,
  isList,
  isString,
  lengthIfAny,
  PythonObject,
  Sized,
  Tuple,
  Undefined,
  type Value,
} from './values.ts'

/** Renders the body of a recursive loop over other items. */
type Recurse = (items: Value, depth0: number) => Value

export class LoopContext extends Sized {
  readonly typeName = 'LoopContext'
  override readonly module = 'jinja2.runtime.'
  override readonly call: Call
  readonly #items: Value
  #iterator: Iterator<Value>
  readonly #depth0: number
  #index0 = -1
  #length: number | undefined
  /** looked at ahead of its turn */
  #ahead: IteratorResult<Value> | undefined
  #current: Value | undefined
  #before: Value | undefined
  #changed: Value | undefined

  constructor(items: Value, iterator: Iterator<Value>, recurse: Recurse | undefined, depth0: number) {
    super()
    this.#items = items
    this.#iterator = iterator
    this.#depth0 = depth0
    this.call = (args, kwargs) => {
      const [inner] = bind('LoopContext.__call__', 'iterable', args, kwargs)
      if (recurse === undefined) {
        return typeError("The loop must have the 'recursive' marker to be called recursively.")
      }
      return recurse(inner!, depth0 + 1)
    }
  }

  /** Goes on to the next item. */
  next(): IteratorResult<Value> {
    const result = this.#ahead ?? this.#iterator.next()
    this.#ahead = undefined
    if (result.done) return result
    this.#index0++
    this.#before = this.#current
    this.#current = result.value
    return result
  }

  size(): number {
    if (this.#length !== undefined) return this.#length
    if (isList(this.#items) || isString(this.#items)) this.#length = Number(len(this.#items))
    else this.#length = this.#items instanceof PythonObject ? lengthIfAny(this.#items) : undefined
    if (this.#length === undefined) {
      const rest: Value[] = []
      for (let next = this.#iterator.next(); !next.done; next = this.#iterator.next()) rest.push(next.value)
      this.#iterator = rest[Symbol.iterator]()
      this.#length = rest.length + this.#index0 + 1 + (this.#ahead && !this.#ahead.done ? 1 : 0)
    }
    return this.#length
  }

  #peek(): IteratorResult<Value> {
    this.#ahead ??= this.#iterator.next()
    return this.#ahead
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'index0':
        return BigInt(this.#index0)
      case 'index':
        return BigInt(this.#index0 + 1)
      case 'length':
        return BigInt(this.size())
      case 'revindex0':
        return BigInt(this.size() - this.#index0 - 1)
      case 'revindex':
        return BigInt(this.size() - this.#index0)
      case 'first':
        return this.#index0 === 0
      case 'last':
        return this.#peek().done === true
      case 'depth0':
        return BigInt(this.#depth0)
      case 'depth':
        return BigInt(this.#depth0 + 1)
      case 'previtem':
        return this.#index0 === 0 ? new Undefined(() => 'there is no previous item') : this.#before
      case 'nextitem': {
        const next = this.#peek()
        return next.done ? new Undefined(() => 'there is no next item') : next.value
      }
      case 'cycle':
        return new Callable('<bound method LoopContext.cycle>', (args) =>
          args.length === 0 ? raise('TypeError', 'no items for cycling given') : args[this.#index0 % args.length]!,
        )
      case 'changed':
        return new Callable('<bound method LoopContext.changed>', (args) => {
          const values = new Tuple(args)
          if (this.#changed !== undefined && equal(this.#changed, values)) return false
          this.#changed = values
          return true
        })
    }
    return undefined
  }

  [Symbol.iterator](): Iterator<Value> {
    return {
      next: () => {
        const result = this.next()
        return result.done ? result : { done: false, value: new Tuple([result.value, this]) }
      },
    }
  }

  override toString(): string {
    return `<LoopContext ${this.#index0 + 1}/${this.size()}>`
  }
}
