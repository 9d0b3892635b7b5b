// The operators of expressions on values, by Python's rules.
import type { BinaryOp } from './ast.ts'
import { raise, TooLarge, typeError } from './errors.ts'
import { escapeHtml } from './markup.ts'
import { boundedInt, divideInts, intToFloat, powInt } from './numbers.ts'
import { percentFormat } from './percent-format.ts'
import { accuratePower } from './power.ts'
import {
  Bytes,
  isInt,
  isList,
  isNumber,
  isString,
  Markup,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

/** items that repeating a list may make */
const MAX_REPEATED = 10_000_000

export function binary(op: BinaryOp, a: Value, b: Value): Value {
  if (isNumber(a) && isNumber(b)) return numeric(op, a, b)
  if (op === '%' && isString(a)) {
    if (a instanceof Markup) return new Markup(percentFormat(a.text, b, (text) => escapeHtml(text).text))
    return percentFormat(a, b)
  }
  for (const value of [a, b]) if (value instanceof Undefined) return raise(value.exception, value.message)
  if (op === '+') {
    const sum = concatenated(a, b)
    if (sum !== undefined) return sum
  }
  if (op === '*') {
    if (isInt(b)) {
      const product = repeated(a, b)
      if (product !== undefined) return product
    }
    if (isInt(a)) {
      const product = repeated(b, a)
      if (product !== undefined) return product
    }
  }
  return unsupported(op, a, b)
}

function concatenated(a: Value, b: Value): Value | undefined {
  if (a instanceof Markup || b instanceof Markup) {
    if (isString(a) && isString(b)) return new Markup(escapeHtml(a).text + escapeHtml(b).text)
  } else if (typeof a === 'string' && typeof b === 'string') return a + b
  if (isList(a) && isList(b)) return a.concat(b)
  if (a instanceof Tuple && b instanceof Tuple) return new Tuple([...a.items, ...b.items])
  if (a instanceof Bytes && b instanceof Bytes) return new Bytes(Buffer.concat([a.bytes, b.bytes]))
  return undefined
}

function repeated(value: Value, times: bigint | boolean): Value | undefined {
  const count = Number(BigInt(times) > 0n ? BigInt(times) : 0n)
  if (isString(value)) {
    if (textOf(value).length * count > 2 ** 29) throw new TooLarge(`a text repeated ${count} times`)
    const text = textOf(value).repeat(count)
    return value instanceof Markup ? new Markup(text) : text
  }
  const items = isList(value) ? value : value instanceof Tuple ? value.items : undefined
  if (items !== undefined) {
    if (items.length * count > MAX_REPEATED) throw new TooLarge(`a list repeated ${count} times`)
    const all: Value[] = []
    if (items.length > 0) for (let index = 0; index < count; index++) all.push(...items)
    return isList(value) ? all : new Tuple(all)
  }
  return undefined
}

function unsupported(op: BinaryOp, a: Value, b: Value): never {
  if (op === '+') {
    if (isString(a) || isList(a) || a instanceof Tuple) {
      const name = typeName(a)
      return typeError(`can only concatenate ${name} (not "${typeName(b)}") to ${name}`)
    }
  }
  if (op === '*') {
    const sequence = [a, b].findIndex((value) => isString(value) || isList(value) || value instanceof Tuple)
    if (sequence >= 0) return typeError(`can't multiply sequence by non-int of type '${typeName([b, a][sequence]!)}'`)
  }
  const name = op === '**' ? '** or pow()' : op
  return typeError(`unsupported operand type(s) for ${name}: '${typeName(a)}' and '${typeName(b)}'`)
}

type Num = bigint | boolean | number

function numeric(op: BinaryOp, a: Num, b: Num): Value {
  if (isInt(a) && isInt(b)) return integers(op, BigInt(a), BigInt(b))
  return floats(op, typeof a === 'number' ? a : intToFloat(a), typeof b === 'number' ? b : intToFloat(b))
}

function integers(op: BinaryOp, a: bigint, b: bigint): Value {
  switch (op) {
    case '+':
      return boundedInt(a + b)
    case '-':
      return boundedInt(a - b)
    case '*':
      return boundedInt(a * b)
    case '/':
      return divideInts(a, b)
    case '//':
    case '%': {
      if (b === 0n) {
        return raise('ZeroDivisionError', op === '%' ? 'integer modulo by zero' : 'integer division or modulo by zero')
      }
      const remainder = a % b
      const crosses = remainder !== 0n && remainder < 0n !== b < 0n
      return op === '%' ? (crosses ? remainder + b : remainder) : crosses ? a / b - 1n : a / b
    }
    case '**':
      return b >= 0n ? powInt(a, b) : floats('**', intToFloat(a), intToFloat(b))
  }
}

function floats(op: BinaryOp, a: number, b: number): number {
  switch (op) {
    case '+':
      return a + b
    case '-':
      return a - b
    case '*':
      return a * b
    case '/':
      return b === 0 ? raise('ZeroDivisionError', 'float division by zero') : a / b
    case '//':
    case '%': {
      if (b === 0) return raise('ZeroDivisionError', op === '%' ? 'float modulo' : 'float floor division by zero')
      const [quotient, remainder] = divmod(a, b)
      return op === '%' ? remainder : quotient
    }
    case '**':
      return power(a, b)
  }
}

function divmod(a: number, b: number): [number, number] {
  let remainder = a % b
  let quotient = (a - remainder) / b
  if (remainder !== 0) {
    if (b < 0 !== remainder < 0) {
      remainder += b
      quotient -= 1
    }
  } else remainder = b < 0 || Object.is(b, -0) ? -0 : 0
  if (quotient !== 0) {
    const floor = Math.floor(quotient)
    quotient = quotient - floor > 0.5 ? floor + 1 : floor
  } else quotient = a / b < 0 || Object.is(a / b, -0) ? -0 : 0
  return [quotient, remainder]
}

function power(a: number, b: number): number {
  if (a === 1 || b === 0) return 1
  if (a === 0 && b < 0) return raise('ZeroDivisionError', '0.0 cannot be raised to a negative power')
  if (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) return 1
  if (a < 0 && Number.isFinite(a) && Number.isFinite(b) && !Number.isInteger(b)) {
    return raise('TypeError', 'a negative number to a fraction is complex: templates have no complex numbers here')
  }
  const exact = Number.isFinite(a) && Number.isFinite(b) && a !== 0
  const result = exact ? accuratePower(Math.abs(a), b) * (a < 0 && b % 2 !== 0 ? -1 : 1) : a ** b
  if (!Number.isFinite(result) && Number.isFinite(a) && Number.isFinite(b)) {
    return raise('OverflowError', "(34, 'Numerical result out of range')")
  }
  return result
}

export function unary(op: '-' | '+', value: Value): Value {
  if (isInt(value)) return op === '-' ? -BigInt(value) : BigInt(value)
  if (typeof value === 'number') return op === '-' ? -value : value
  if (value instanceof Undefined) return raise(value.exception, value.message)
  return typeError(`bad operand type for unary ${op}: '${typeName(value)}'`)
}
