// Variables as the program has them (what JSON can hold) to values of a template.
import { Dict, PythonObject, type Value } from './values.ts'

/** Whole numbers are ints, as Python's json reads them; above 2^53 only as far as a double tells. */
export function toValue(given: unknown): Value {
  if (given === null || given === undefined) return null
  switch (typeof given) {
    case 'boolean':
    case 'string':
    case 'bigint':
      return given
    case 'number':
      return Number.isInteger(given) && Math.abs(given) < 1e21 ? BigInt(given) : given
    case 'object':
      if (given instanceof PythonObject) return given
      if (Array.isArray(given)) return given.map(toValue)
      return new Dict(Object.entries(given).map(([key, value]) => [key, toValue(value)]))
  }
  return String(given)
}
