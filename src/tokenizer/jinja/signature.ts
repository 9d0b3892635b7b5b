// Parameters of functions, filters and methods, and how arguments find them.
import { typeError } from './errors.ts'
import { Dict, isInt, type Kwargs, typeName, type Value } from './values.ts'

/**
 * Names in order; `name=` may be left out, `*` takes further arguments (as a list), `**` further named ones (as a dict),
 * and a `/` at the front says that names cannot be used.
 */
export type Parameters = string

/** Arguments by parameter; undefined where none was given. */
export type Bound = readonly (Value | undefined)[]

interface Parsed {
  readonly positionalOnly: boolean
  readonly names: readonly string[]
  readonly required: number
  readonly star: boolean
  readonly doubleStar: boolean
}

const parsed = new Map<Parameters, Parsed>()

function parse(parameters: Parameters): Parsed {
  const known = parsed.get(parameters)
  if (known) return known
  const words = parameters.split(' ').filter((word) => word !== '')
  const named = words.filter((word) => !/^[/*]/.test(word))
  const result = {
    positionalOnly: words[0] === '/',
    names: named.map((word) => word.replace('=', '')),
    required: named.filter((word) => !word.endsWith('=')).length,
    star: words.includes('*'),
    doubleStar: words.includes('**'),
  }
  parsed.set(parameters, result)
  return result
}

export function bind(name: string, parameters: Parameters, args: readonly Value[], kwargs: Kwargs): Bound {
  const { positionalOnly, names, required, star, doubleStar } = parse(parameters)
  const values: (Value | undefined)[] = names.map((_, index) => args[index])
  if (args.length > names.length && !star) {
    const takes = `${names.length} positional argument${names.length === 1 ? '' : 's'}`
    return typeError(`${name}() takes ${takes} but ${args.length} ${args.length === 1 ? 'was' : 'were'} given`)
  }
  const more = new Dict()
  for (const [key, value] of kwargs) {
    const index = positionalOnly ? -1 : names.indexOf(key)
    if (index < 0) {
      if (positionalOnly && !doubleStar) return typeError(`${name}() takes no keyword arguments`)
      if (!doubleStar) return typeError(`${name}() got an unexpected keyword argument '${key}'`)
      more.set(key, value)
    } else if (values[index] !== undefined) return typeError(`${name}() got multiple values for argument '${key}'`)
    else values[index] = value
  }
  const missing = names.slice(0, required).filter((_, index) => values[index] === undefined)
  if (missing.length > 0) {
    const list = missing.map((word) => `'${word}'`).join(' and ')
    const what = `required positional argument${missing.length === 1 ? '' : 's'}`
    return typeError(`${name}() missing ${missing.length} ${what}: ${list}`)
  }
  if (star) values.push(args.slice(names.length))
  if (doubleStar) values.push(more)
  return values
}

/** An argument that Python takes as an index or a count. */
export function asIndex(value: Value): number {
  if (isInt(value)) return Number(value)
  return typeError(`'${typeName(value)}' object cannot be interpreted as an integer`)
}

export const orNone = (value: Value | undefined): Value => value ?? null
