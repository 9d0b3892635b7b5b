// What every template can call: jinja2's globals and those of chats.
import { toList } from './compare.ts'
import { raise, TooLarge, typeError, valueError } from './errors.ts'
import { str } from './repr.ts'
import { bind } from './signature.ts'
import { strftime } from './strftime.ts'
import {
  Callable,
  Dict,
  isInt,
  isString,
  type Kwargs,
  Namespace,
  Range,
  textOf,
  typeName,
  type Value,
} from './values.ts'

/** numbers that one range() may list, of jinja2's sandbox */
const MAX_RANGE = 100_000

/** The template refuses its variables by raise_exception. */
export class Refusal extends Error {
  line: number | undefined
}

export function globalsAt(now: Date): ReadonlyMap<string, Value> {
  const named = (name: string, call: Callable['call']) => new Callable(`<function ${name} at ADDRESS>`, call)
  return new Map<string, Value>([
    ['range', new Callable('<function safe_range at ADDRESS>', range)],
    ['dict', new Callable("<class 'dict'>", (args, kwargs) => makeDict('dict', args, kwargs), { typeName: 'type' })],
    [
      'namespace',
      new Callable(
        "<class 'jinja2.utils.Namespace'>",
        (args, kwargs) => new Namespace(makeDict('dict', args, kwargs)),
        {
          typeName: 'type',
        },
      ),
    ],
    ['cycler', new Callable("<class 'jinja2.utils.Cycler'>", makeCycler, { typeName: 'type' })],
    ['joiner', new Callable("<class 'jinja2.utils.Joiner'>", makeJoiner, { typeName: 'type' })],
    [
      'lipsum',
      named('generate_lorem_ipsum', () =>
        raise('TemplateRuntimeError', 'lipsum() makes random text for web pages: templates of chats have none here'),
      ),
    ],
    [
      'raise_exception',
      named('raise_exception', (args, kwargs) => {
        throw new Refusal(str(bind('raise_exception', 'message', args, kwargs)[0]!))
      }),
    ],
    [
      'strftime_now',
      named('strftime_now', (args, kwargs) => {
        const [format] = bind('strftime_now', 'format', args, kwargs)
        if (!isString(format!)) return typeError(`strftime() argument 1 must be str, not ${typeName(format!)}`)
        return strftime(now, textOf(format))
      }),
    ],
  ])
}

function range(args: readonly Value[], kwargs: Kwargs): Value {
  const [first, second, third] = bind('range', '/ start stop= step=', args, kwargs).map((value) => {
    if (value === undefined) return undefined
    return isInt(value) ? BigInt(value) : typeError(`'${typeName(value)}' object cannot be interpreted as an integer`)
  })
  if (third === 0n) return valueError('range() arg 3 must not be zero')
  const result = second === undefined ? new Range(0n, first!, 1n) : new Range(first!, second, third ?? 1n)
  if (result.length > MAX_RANGE) {
    throw new TooLarge(`Range too big. The sandbox blocks ranges larger than MAX_RANGE (${MAX_RANGE}).`)
  }
  return result
}

function makeDict(name: string, args: readonly Value[], kwargs: Kwargs): Dict {
  if (args.length > 1) return typeError(`${name} expected at most 1 argument, got ${args.length}`)
  const [given] = args
  const pairs: (readonly [Value, Value])[] =
    given === undefined ? [] : given instanceof Dict ? given.entries() : toList(given).map(readPair)
  return new Dict([...pairs, ...kwargs])
}

function readPair(pair: Value, index: number): readonly [Value, Value] {
  let items: Value[]
  try {
    items = toList(pair)
  } catch {
    return typeError(`cannot convert dictionary update sequence element #${index} to a sequence`)
  }
  const [key, value] = items
  if (key === undefined || value === undefined || items.length !== 2) {
    return valueError(`dictionary update sequence element #${index} has length ${items.length}; 2 is required`)
  }
  return [key, value]
}

function makeCycler(items: readonly Value[]): Value {
  if (items.length === 0) return raise('RuntimeError', 'at least one item has to be provided')
  let at = 0
  const method = (name: string, call: () => Value) => () => new Callable(`<bound method Cycler.${name}>`, call)
  return new Callable('<jinja2.utils.Cycler object at ADDRESS>', () => typeError("'Cycler' object is not callable"), {
    ...{ typeName: 'Cycler', module: 'jinja2.utils.' },
    attributes: {
      current: () => items[at]!,
      pos: () => BigInt(at),
      next: method('next', () => {
        const item = items[at]!
        at = (at + 1) % items.length
        return item
      }),
      reset: method('reset', () => {
        at = 0
        return null
      }),
    },
  })
}

function makeJoiner(args: readonly Value[], kwargs: Kwargs): Value {
  const [separator = ', '] = bind('Joiner.__init__', 'sep=', args, kwargs)
  let used = false
  return new Callable(
    '<jinja2.utils.Joiner object at ADDRESS>',
    () => {
      const shown = used ? separator : ''
      used = true
      return shown
    },
    { typeName: 'Joiner', module: 'jinja2.utils.', attributes: { sep: () => separator, used: () => used } },
  )
}
