// Methods of Markup: those of str on escaped text, arguments escaped too, results marked.

import { toList } from './compare.ts'
import { typeError } from './errors.ts'
import { formatValue } from './format-spec.ts'
import { formatString } from './format-string.ts'
import { escapeHtml, stripTags, unescapeHtml } from './markup.ts'
import { asItems } from './object-methods.ts'
import { bind } from './signature.ts'
import { stringMethods } from './string-methods.ts'
import { Callable, Dict, isString, Markup, Tuple, type Value } from './values.ts'

/** arguments that are text are escaped, the result is marked */
const ESCAPING = new Set(
  'capitalize title lower upper replace ljust rjust lstrip rstrip center strip translate expandtabs swapcase zfill casefold removeprefix removesuffix'.split(
    ' ',
  ),
)
/** the result is marked, arguments are taken as they are */
const MARKING = new Set('partition rpartition split rsplit splitlines'.split(' '))

export function markupMethod(self: Markup, name: string): Value | undefined {
  const call = (run: Callable['call']) =>
    new Callable(`<bound method Markup.${name} of ${self.text}>`, run, { typeName: 'method' })
  switch (name) {
    case 'striptags':
      return call(() => stripTags(self.text))
    case 'unescape':
      return call(() => unescapeHtml(self.text))
    case 'escape':
      return call(([value = null]) => escapeHtml(value))
    case 'join':
      return call(
        ([items]) =>
          new Markup(
            toList(items ?? null)
              .map((item) => escapeHtml(item).text)
              .join(self.text),
          ),
      )
    case 'format':
      return call((args, kwargs) => new Markup(formatString(self.text, { args, kwargs, shown })))
    case 'format_map':
      return call(([mapping]) => {
        if (!(mapping instanceof Dict)) return typeError('format_map() argument must be a mapping')
        return new Markup(formatString(self.text, { args: [], kwargs: mapping, shown }))
      })
  }
  if (!Object.hasOwn(stringMethods, name)) return undefined
  const [parameters, run] = stringMethods[name]!
  return call((args, kwargs) => {
    const escaping = ESCAPING.has(name)
    const given = escaping ? args.map(escapeIfText) : args
    const named = escaping ? new Map([...kwargs].map(([key, value]) => [key, escapeIfText(value)] as const)) : kwargs
    const result = run(self.text, bind(`Markup.${name}`, parameters, given, named))
    return escaping || MARKING.has(name) ? marked(result) : result
  })
}

const escapeIfText = (value: Value): Value => (isString(value) ? escapeHtml(value) : value)

const shown = (value: Value, spec: string): string =>
  value instanceof Markup ? value.text : escapeHtml(spec === '' ? value : formatValue(value, spec)).text

function marked(value: Value): Value {
  if (typeof value === 'string') return new Markup(value)
  const items = asItems(value)?.map(marked)
  if (items === undefined) return value
  return value instanceof Tuple ? new Tuple(items) : items
}
