// Filters that make text of text.

import { binary } from './arithmetic.ts'
import { getAttribute, getSlice } from './attributes.ts'
import { isIterable, len, toList, unpack } from './compare.ts'
import { raise, typeError } from './errors.ts'
import type { Filters, Services } from './filters.ts'
import { escapeHtml, escapeText, stripTags } from './markup.ts'
import { percentFormat } from './percent-format.ts'
import { attributeGetter } from './pick-filters.ts'
import { repr, str } from './repr.ts'
import { asIndex, type Bound } from './signature.ts'
import { replaceText } from './string-methods.ts'
import { codePoints, lengthOf, splitLines } from './text.ts'
import { wrapLine } from './text-wrap.ts'
import {
  Dict,
  isList,
  isString,
  type Kwargs,
  Markup,
  Tuple,
  textOf,
  truthy,
  typeName,
  Undefined,
  type Value,
} from './values.ts'

const NO_KWARGS: Kwargs = new Map()

/** a method of the value as text, which stays Markup if it is */
function callMethod(value: Value, name: string, args: readonly Value[] = []): Value {
  const self = isString(value) ? value : str(value)
  const method = getAttribute(self, name)
  return (method as { call?: (args: readonly Value[], kwargs: Kwargs) => Value }).call!(args, NO_KWARGS)
}

function titleWords(value: Value): string {
  return str(value)
    .split(/([-\s({[<]+)/)
    .filter((word) => word !== '')
    .map((word) => {
      const [first, ...rest] = codePoints(word)
      return first!.toUpperCase() + rest.join('').toLowerCase()
    })
    .join('')
}

function join([items, separator = '', attribute]: Bound, { autoescape }: Services): Value {
  const value = toList(items!)
  const parts = attribute === undefined || attribute === null ? value : value.map(attributeGetter(attribute))
  if (!autoescape) return parts.map(str).join(str(separator))
  if (separator instanceof Markup || parts.some((part) => part instanceof Markup)) {
    return new Markup(parts.map((part) => escapeHtml(part).text).join(escapeHtml(separator).text))
  }
  return parts.map(str).join(str(separator))
}

function replace([value, old, by, count = null]: Bound, { autoescape }: Services): Value {
  const limit = count === null ? -1 : asIndex(count)
  if (!autoescape) return replaceText(str(value!), str(old!), str(by!), limit)
  const escapes = old instanceof Markup || (by instanceof Markup && !(value instanceof Markup))
  const subject = escapes ? escapeHtml(value!) : value!
  if (!(subject instanceof Markup)) return replaceText(str(subject), str(old!), str(by!), limit)
  return new Markup(replaceText(subject.text, escapeHtml(old!).text, escapeHtml(by!).text, limit))
}

function indent([value, width = 4n, first = false, blank = false]: Bound): Value {
  const by = isString(width) ? textOf(width) : ' '.repeat(Math.max(0, asIndex(width)))
  if (!isString(value!)) {
    // The filter adds a line end to the value, whatever it is.
    if (!isList(value!)) binary('+', value!, '\n')
    return raise('AttributeError', `'${typeName(value!)}' object has no attribute 'splitlines'`)
  }
  const lines = splitLines(`${textOf(value)}\n`)
  const indented = truthy(blank)
    ? lines.join(`\n${by}`)
    : lines.map((line, at) => (at === 0 || line === '' ? line : by + line)).join('\n')
  const text = truthy(first) ? by + indented : indented
  return value instanceof Markup ? new Markup(text) : text
}

function truncate([value, length = 255n, killWords = false, end = '...', leeway = null]: Bound): Value {
  const limit = asIndex(length)
  const ending = str(end)
  const slack = leeway === null ? 5 : asIndex(leeway)
  if (limit < lengthOf(ending)) raise('AssertionError', `expected length >= ${lengthOf(ending)}, got ${limit}`)
  if (slack < 0) raise('AssertionError', `expected leeway >= 0, got ${slack}`)
  if (len(value!) <= BigInt(limit + slack)) return value!
  const cut = getSlice(value!, null, BigInt(limit - lengthOf(ending)), null)
  if (truthy(killWords)) return binary('+', cut, end)
  if (!isString(cut)) return raise('AttributeError', `'${typeName(cut)}' object has no attribute 'rsplit'`)
  const space = textOf(cut).lastIndexOf(' ')
  const words = space < 0 ? textOf(cut) : textOf(cut).slice(0, space)
  return binary('+', value instanceof Markup ? new Markup(words) : words, end)
}

function wordWrap([value, width = 79n, breakLong = true, wrapString = null, hyphens = true]: Bound): string {
  if (!isString(value!)) {
    if (value instanceof Undefined) return raise(value.exception, value.message)
    return raise('AttributeError', `'${typeName(value!)}' object has no attribute 'splitlines'`)
  }
  const newline = wrapString === null ? '\n' : str(wrapString)
  const options = { width: asIndex(width), breakLongWords: truthy(breakLong), breakOnHyphens: truthy(hyphens) }
  return splitLines(textOf(value))
    .map((line) => wrapLine(line, options).join(newline))
    .join(newline)
}

function format([value, args, kwargs]: Bound): Value {
  const [given, named] = [args as readonly Value[], kwargs as Dict]
  if (given.length > 0 && named.size > 0) {
    return raise('FilterArgumentError', "can't handle positional and keyword arguments at the same time")
  }
  const values = named.size > 0 ? named : new Tuple(given)
  if (value instanceof Markup) return new Markup(percentFormat(value.text, values, (item) => escapeHtml(item).text))
  return percentFormat(str(value!), values)
}

function urlEncode([value = null]: Bound): string {
  if (isString(value) || !isIterable(value)) return quoteUrl(value, false)
  const items = value instanceof Dict ? value.entries() : toList(value).map((item) => unpack(item, 2))
  return items.map(([key, item]) => `${quoteUrl(key!, true)}=${quoteUrl(item!, true)}`).join('&')
}

function quoteUrl(value: Value, query: boolean): string {
  const quoted = [...Buffer.from(str(value))]
    .map((byte) => {
      const char = String.fromCharCode(byte)
      if (/[A-Za-z0-9_.~-]/.test(char) || (char === '/' && !query)) return char
      return `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
  return query ? quoted.replaceAll('%20', '+') : quoted
}

function xmlAttributes([value, autospace = true]: Bound, { autoescape }: Services): Value {
  if (!(value instanceof Dict)) {
    if (value instanceof Undefined) return raise(value.exception, value.message)
    return raise('AttributeError', `'${typeName(value!)}' object has no attribute 'items'`)
  }
  const items = value.entries().flatMap(([key, item]) => {
    if (item === null || item instanceof Undefined) return []
    if (!isString(key)) return typeError(`expected string or bytes-like object, got '${typeName(key)}'`)
    if (/[\s/>=]/.test(textOf(key))) return raise('ValueError', `Invalid character in attribute name: ${repr(key)}`)
    return [`${escapeHtml(key).text}="${escapeHtml(item).text}"`]
  })
  const text = (truthy(autospace) && items.length > 0 ? ' ' : '') + items.join(' ')
  return autoescape ? new Markup(text) : text
}

export const textFilters: Filters = {
  upper: ['do_upper', 's', ([value]) => callMethod(value!, 'upper')],
  lower: ['do_lower', 's', ([value]) => callMethod(value!, 'lower')],
  capitalize: ['do_capitalize', 's', ([value]) => callMethod(value!, 'capitalize')],
  title: ['do_title', 's', ([value]) => titleWords(value!)],
  center: ['do_center', 'value width=', ([value, width = 80n]) => callMethod(value!, 'center', [width])],
  trim: ['do_trim', 'value chars=', ([value, chars = null]) => callMethod(value!, 'strip', [chars])],
  string: ['soft_str', 's', ([value]) => (isString(value!) ? value : str(value!))],
  join: ['sync_do_join', 'value d= attribute=', join],
  replace: ['do_replace', 's old new count=', replace],
  indent: ['do_indent', 's width= first= blank=', indent],
  truncate: ['do_truncate', 's length= killwords= end= leeway=', truncate],
  wordwrap: ['do_wordwrap', 's width= break_long_words= wrapstring= break_on_hyphens=', wordWrap],
  wordcount: ['do_wordcount', 's', ([value]) => BigInt(str(value!).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)],
  format: ['do_format', 'value * **', format],
  escape: ['escape', '/ s', ([value]) => escapeHtml(value!)],
  e: ['escape', '/ s', ([value]) => escapeHtml(value!)],
  forceescape: ['do_forceescape', 'value', ([value]) => escapeText(str(value!))],
  safe: ['do_mark_safe', 'value', ([value]) => new Markup(str(value!))],
  striptags: ['do_striptags', 'value', ([value]) => stripTags(str(value!))],
  urlencode: ['do_urlencode', 'value', urlEncode],
  urlize: [
    'do_urlize',
    'value * **',
    () =>
      raise('TemplateRuntimeError', "the filter 'urlize' makes links for web pages: templates of chats have none here"),
  ],
  xmlattr: ['do_xmlattr', 'd autospace=', xmlAttributes],
}
