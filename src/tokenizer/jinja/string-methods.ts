// Methods of str. Positions are counted in code points.

import { iterate } from './compare.ts'
import { raise, typeError, valueError } from './errors.ts'
import { formatString } from './format-string.ts'
import type { Methods } from './methods.ts'
import { encodeText } from './object-methods.ts'
import { asIndex, type Bound } from './signature.ts'
import {
  capitalize,
  caseFold,
  codePoints,
  isAlnum,
  isAlpha,
  isDecimal,
  isDigit,
  isIdentifier,
  isLower,
  isNumeric,
  isPrintable,
  isSpace,
  isTitle,
  isUpper,
  lengthOf,
  splitAtSpaces,
  splitAtSpacesFromEnd,
  splitLines,
  strip,
  swapCase,
  title,
} from './text.ts'
import { Dict, isInt, isString, Tuple, textOf, truthy, typeName, type Value } from './values.ts'

type Side = 'both' | 'start' | 'end'

const text = (value: Value | undefined, what = 'argument'): string =>
  value !== undefined && isString(value)
    ? textOf(value)
    : typeError(`${what} must be str, not ${typeName(value ?? null)}`)

const stripWith =
  (side: Side) =>
  (self: string, [chars]: Bound) => {
    if (chars === undefined || chars === null) return strip(self, undefined, side)
    if (!isString(chars)) return typeError(`${{ both: '', start: 'l', end: 'r' }[side]}strip arg must be None or str`)
    return strip(self, textOf(chars), side)
  }

/** Start and end of a part as Python clamps them, in code points. */
function part(self: string, start: Value | undefined, end: Value | undefined) {
  const length = lengthOf(self)
  const clamp = (value: Value | undefined, fallback: number) => {
    const index = value === undefined || value === null ? fallback : asIndex(value)
    return index < 0 ? Math.max(0, index + length) : index
  }
  const [from, to] = [clamp(start, 0), Math.min(length, clamp(end, length))]
  return { from, to, text: from > to ? undefined : codePoints(self).slice(from, to).join('') }
}

function find(self: string, [wanted, start, end]: Bound, last: boolean): number {
  const { from, text: within } = part(self, start, end)
  if (within === undefined) return -1
  const at = last ? within.lastIndexOf(text(wanted)) : within.indexOf(text(wanted))
  return at < 0 ? -1 : from + lengthOf(within.slice(0, at))
}

const index = (self: string, args: Bound, last: boolean) => {
  const at = find(self, args, last)
  return at < 0 ? valueError('substring not found') : BigInt(at)
}

const startsOrEnds =
  (name: string, test: (within: string, affix: string) => boolean) => (self: string, args: Bound) => {
    const [affix, start, end] = args
    const { text: within } = part(self, start, end)
    const affixes = affix instanceof Tuple ? affix.items : [affix!]
    return affixes.some((each) => {
      if (!isString(each)) {
        return typeError(
          affix instanceof Tuple
            ? `tuple for ${name} must only contain str, not ${typeName(each)}`
            : `${name} first arg must be str or a tuple of str, not ${typeName(each)}`,
        )
      }
      return within !== undefined && test(within, textOf(each))
    })
  }

export function replaceText(self: string, old: string, by: string, count: number): string {
  if (old !== '') {
    if (count < 0) return self.replaceAll(old, () => by)
    const parts = self.split(old)
    const head = parts.slice(0, count + 1).join(by)
    return [head, ...parts.slice(count + 1)].join(old)
  }
  const points = codePoints(self)
  const places = count < 0 ? points.length + 1 : Math.min(count, points.length + 1)
  return points.map((char, at) => (at < places ? by : '') + char).join('') + (places > points.length ? by : '')
}

function split(self: string, [separator, max]: Bound, fromEnd: boolean): Value {
  const limit = max === undefined ? -1 : asIndex(max)
  if (separator === undefined || separator === null) {
    return fromEnd ? splitAtSpacesFromEnd(self, limit) : splitAtSpaces(self, limit)
  }
  const by = text(separator, 'must be str or None:')
  if (by === '') return valueError('empty separator')
  if (fromEnd) return splitFromEnd(self, by, limit)
  const parts = self.split(by)
  return limit < 0 || parts.length <= limit + 1 ? parts : [...parts.slice(0, limit), parts.slice(limit).join(by)]
}

/** Overlapping separators are taken from the end: 'aaa' by 'aa' is 'a', ''. */
function splitFromEnd(self: string, by: string, max: number): string[] {
  const parts: string[] = []
  let end = self.length
  while (max < 0 || parts.length < max) {
    const at = end < by.length ? -1 : self.lastIndexOf(by, end - by.length)
    if (at < 0) break
    parts.push(self.slice(at + by.length, end))
    end = at
  }
  return [...parts, self.slice(0, end)].reverse()
}

function partition(self: string, [separator]: Bound, last: boolean): Value {
  const by = text(separator)
  if (by === '') return valueError('empty separator')
  const at = last ? self.lastIndexOf(by) : self.indexOf(by)
  if (at < 0) return new Tuple(last ? ['', '', self] : [self, '', ''])
  return new Tuple([self.slice(0, at), by, self.slice(at + by.length)])
}

function justify(self: string, [width, fill]: Bound, side: 'left' | 'right' | 'center'): string {
  const char = fill === undefined ? ' ' : text(fill, 'The fill character')
  if (lengthOf(char) !== 1) return typeError('The fill character must be exactly one character long')
  const columns = asIndex(width!)
  const missing = columns - lengthOf(self)
  if (missing <= 0) return self
  if (missing > 2 ** 28) return raise('MemoryError', '')
  if (side === 'left') return self + char.repeat(missing)
  if (side === 'right') return char.repeat(missing) + self
  const left = (missing >> 1) + (missing & columns & 1)
  return char.repeat(left) + self + char.repeat(missing - left)
}

function zfill(self: string, [width]: Bound): string {
  const missing = asIndex(width!) - lengthOf(self)
  if (missing <= 0) return self
  const sign = /^[+-]/.exec(self)?.[0] ?? ''
  return sign + '0'.repeat(missing) + self.slice(sign.length)
}

function expandTabs(self: string, size: number): string {
  let column = 0
  let result = ''
  for (const char of self) {
    if (char === '\t') {
      const spaces = size > 0 ? size - (column % size) : 0
      result += ' '.repeat(spaces)
      column += spaces
    } else {
      result += char
      column = char === '\n' || char === '\r' ? 0 : column + 1
    }
  }
  return result
}

function join(self: string, [items]: Bound): string {
  const parts: string[] = []
  const iterator = iterate(items!)
  for (let next = iterator.next(); !next.done; next = iterator.next()) {
    if (!isString(next.value)) {
      return typeError(`sequence item ${parts.length}: expected str instance, ${typeName(next.value)} found`)
    }
    parts.push(textOf(next.value))
  }
  return parts.join(self)
}

function translate(self: string, [table]: Bound): string {
  if (!(table instanceof Dict)) return typeError(`'${typeName(table!)}' object is not subscriptable`)
  const mapped = codePoints(self).map((char) => {
    const to = table.get(BigInt(char.codePointAt(0)!))
    if (to === undefined) return char
    if (to === null) return ''
    if (isInt(to)) return String.fromCodePoint(Number(to))
    return isString(to) ? textOf(to) : typeError('character mapping must return integer, None or str')
  })
  return mapped.join('')
}

function makeTranslation([from, to, drop]: Bound): Dict {
  const code = (char: string) => BigInt(char.codePointAt(0)!)
  if (to === undefined) {
    if (!(from instanceof Dict)) return typeError('if you give only one argument to maketrans it must be a dict')
    return new Dict(from.entries().map(([key, value]) => [isString(key) ? code(textOf(key)) : key, value] as const))
  }
  const [left, right] = [codePoints(text(from)), codePoints(text(to))]
  if (left.length !== right.length) return valueError('the first two maketrans arguments must have equal length')
  const pairs = left.map((char, at) => [code(char), code(right[at]!)] as const)
  const dropped = drop === undefined ? [] : codePoints(text(drop)).map((char) => [code(char), null] as const)
  return new Dict([...pairs, ...dropped])
}

export const stringMethods: Methods<string> = {
  capitalize: ['/', capitalize],
  casefold: ['/', caseFold],
  center: ['/ width fill=', (self, args) => justify(self, args, 'center')],
  count: [
    '/ sub start= end=',
    (self, [sub, start, end]) => {
      const { text: within } = part(self, start, end)
      if (within === undefined) return 0n
      const wanted = text(sub)
      return BigInt(wanted === '' ? lengthOf(within) + 1 : within.split(wanted).length - 1)
    },
  ],
  encode: [
    'encoding= errors=',
    (self, [encoding, errors]) => encodeText(self, text(encoding ?? 'utf-8'), text(errors ?? 'strict')),
  ],
  endswith: ['/ suffix start= end=', startsOrEnds('endswith', (within, affix) => within.endsWith(affix))],
  expandtabs: ['tabsize=', (self, [size]) => expandTabs(self, size === undefined ? 8 : asIndex(size))],
  find: ['/ sub start= end=', (self, args) => BigInt(find(self, args, false))],
  format: [
    '/ * **',
    (self, [args, kwargs]) =>
      formatString(self, { args: args as readonly Value[], kwargs: kwargs as Dict, shown: undefined }),
  ],
  format_map: [
    '/ mapping',
    (self, [mapping]) => {
      if (mapping instanceof Dict) return formatString(self, { args: [], kwargs: mapping, shown: undefined })
      return typeError('format_map() argument must be a mapping')
    },
  ],
  index: ['/ sub start= end=', (self, args) => index(self, args, false)],
  isalnum: ['/', isAlnum],
  isalpha: ['/', isAlpha],
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the end of ASCII
  isascii: ['/', (self) => /^[\x00-\x7f]*$/.test(self)],
  isdecimal: ['/', isDecimal],
  isdigit: ['/', isDigit],
  isidentifier: ['/', isIdentifier],
  islower: ['/', isLower],
  isnumeric: ['/', isNumeric],
  isprintable: ['/', isPrintable],
  isspace: ['/', isSpace],
  istitle: ['/', isTitle],
  isupper: ['/', isUpper],
  join: ['/ iterable', join],
  ljust: ['/ width fill=', (self, args) => justify(self, args, 'left')],
  lower: ['/', (self) => self.toLowerCase()],
  lstrip: ['/ chars=', stripWith('start')],
  maketrans: ['/ from to= drop=', (_, args) => makeTranslation(args)],
  partition: ['/ sep', (self, args) => partition(self, args, false)],
  removeprefix: [
    '/ prefix',
    (self, [prefix]) => (self.startsWith(text(prefix)) ? self.slice(text(prefix).length) : self),
  ],
  removesuffix: [
    '/ suffix',
    (self, [suffix]) => (self.endsWith(text(suffix)) ? self.slice(0, self.length - text(suffix).length) : self),
  ],
  replace: [
    '/ old new count=',
    (self, [old, by, count]) => replaceText(self, text(old), text(by), count === undefined ? -1 : asIndex(count)),
  ],
  rfind: ['/ sub start= end=', (self, args) => BigInt(find(self, args, true))],
  rindex: ['/ sub start= end=', (self, args) => index(self, args, true)],
  rjust: ['/ width fill=', (self, args) => justify(self, args, 'right')],
  rpartition: ['/ sep', (self, args) => partition(self, args, true)],
  rsplit: ['sep= maxsplit=', (self, args) => split(self, args, true)],
  rstrip: ['/ chars=', stripWith('end')],
  split: ['sep= maxsplit=', (self, args) => split(self, args, false)],
  splitlines: ['keepends=', (self, [keep]) => splitLines(self, keep !== undefined && truthy(keep))],
  startswith: ['/ prefix start= end=', startsOrEnds('startswith', (within, affix) => within.startsWith(affix))],
  strip: ['/ chars=', stripWith('both')],
  swapcase: ['/', swapCase],
  title: ['/', title],
  translate: ['/ table', translate],
  upper: ['/', (self) => self.toUpperCase()],
  zfill: ['/ width', zfill],
}
