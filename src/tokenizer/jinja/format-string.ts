// `'{} {0[key]:>5}'.format(…)`, in the sandbox: fields reach what a template itself can reach.
import { getAttribute, getItem } from './attributes.ts'
import { raise, valueError } from './errors.ts'
import { formatValue } from './format-spec.ts'
import { asciiRepr, repr, str } from './repr.ts'
import type { Dict, Kwargs, Value } from './values.ts'

interface FormatArguments {
  readonly args: readonly Value[]
  readonly kwargs: Kwargs | Dict
  /** for Markup: what a field shows, without a specification */
  readonly shown: ((value: Value, spec: string) => string) | undefined
}

export function formatString(format: string, given: FormatArguments): string {
  return expand(format, given, { next: 0, manual: false }, 2)
}

interface Numbering {
  next: number
  manual: boolean
}

function expand(format: string, given: FormatArguments, numbering: Numbering, depth: number): string {
  if (depth < 0) return valueError('Max string recursion exceeded')
  let result = ''
  let at = 0
  while (at < format.length) {
    const char = format[at]!
    if (char === '{' || char === '}') {
      if (format[at + 1] === char) {
        result += char
        at += 2
        continue
      }
      if (char === '}') return valueError("Single '}' encountered in format string")
      const end = fieldEnd(format, at + 1)
      result += field(format.slice(at + 1, end), given, numbering, depth)
      at = end + 1
    } else {
      result += char
      at++
    }
  }
  return result
}

function fieldEnd(format: string, start: number): number {
  if (start >= format.length) return valueError("Single '{' encountered in format string")
  let open = 1
  let inIndex = false
  for (let at = start; at < format.length; at++) {
    const char = format[at]
    if (char === '[') inIndex = true
    else if (char === ']') inIndex = false
    else if (char === '{' && !inIndex) open++
    else if (char === '}' && !inIndex && --open === 0) return at
  }
  return valueError("expected '}' before end of string")
}

function field(text: string, given: FormatArguments, numbering: Numbering, depth: number): string {
  const [, name = '', conversion, specText] =
    /^((?:\[[^\]]*\]|[^!:[])*)(?:!([^:]*))?(?::([\s\S]*))?$/.exec(text) ??
    valueError("expected '}' before end of string")
  if (conversion !== undefined && conversion.length !== 1) {
    return valueError(
      conversion === ''
        ? 'end of string while looking for conversion specifier'
        : "expected ':' after conversion specifier",
    )
  }
  let value = lookUp(name, given, numbering)
  if (conversion !== undefined) {
    const convert = { s: str, r: repr, a: asciiRepr }[conversion]
    if (convert === undefined) return valueError(`Unknown conversion specifier ${conversion}`)
    value = convert(value)
  }
  const spec = specText === undefined ? '' : expand(specText, given, numbering, depth - 1)
  return given.shown ? given.shown(value, spec) : formatValue(value, spec)
}

function lookUp(name: string, given: FormatArguments, numbering: Numbering): Value {
  const first = /^[^.[]*/.exec(name)![0]
  let value: Value | undefined
  if (first === '' || /^\d+$/.test(first)) {
    if (first === '') {
      if (numbering.manual)
        return valueError('cannot switch from manual field specification to automatic field numbering')
    } else {
      if (numbering.next > 0) {
        return valueError('cannot switch from automatic field numbering to manual field specification')
      }
      numbering.manual = true
    }
    const index = first === '' ? numbering.next++ : Number(first)
    value = given.args[index]
    if (value === undefined) {
      return raise('IndexError', `Replacement index ${index} out of range for positional args tuple`)
    }
  } else {
    value = given.kwargs.get(first)
    if (value === undefined) return raise('KeyError', repr(first))
  }
  for (const [part, attribute, item] of name.slice(first.length).matchAll(/\.([^.[]*)|\[([^\]]*)\]|[\s\S]/g)) {
    if (attribute === '' || item === '') return valueError('Empty attribute in format string')
    if (attribute !== undefined) value = getAttribute(value, attribute)
    else if (item !== undefined) value = getItem(value, /^\d+$/.test(item) ? BigInt(item) : item)
    else return valueError(`Only '.' or '[' may follow ']' in format field specifier, not '${part}'`)
  }
  return value
}
