// Text as Python sees it: sequences of code points, Python's white space, line ends and kinds of characters.

/** inside of a character class */
export const WHITE_SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000'
const SPACES = new RegExp(`[${WHITE_SPACE}]+`, 'g')
const ALL_SPACE = new RegExp(`^[${WHITE_SPACE}]+$`)
// biome-ignore lint/suspicious/noControlCharactersInRegex: Python's line ends
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/g
const ASTRAL = /[\ud800-\udfff]/

/** characters of a text; by index without splitting where all are 16 bits */
export const codePoints = (text: string): readonly string[] => (ASTRAL.test(text) ? [...text] : text.split(''))
export const lengthOf = (text: string): number => (ASTRAL.test(text) ? [...text].length : text.length)
export const hasAstral = (text: string): boolean => ASTRAL.test(text)

export function strip(text: string, chars?: string, side: 'both' | 'start' | 'end' = 'both'): string {
  // White space has no characters beyond 16 bits, and most sets of characters have none.
  const units = chars === undefined || !ASTRAL.test(chars) ? text : [...text]
  const set = chars === undefined ? undefined : new Set(codePoints(chars))
  const goes = (char: string) => (set === undefined ? ALL_SPACE.test(char) : set.has(char))
  let start = 0
  let end = units.length
  if (side !== 'end') while (start < end && goes(units[start]!)) start++
  if (side !== 'start') while (end > start && goes(units[end - 1]!)) end--
  return typeof units === 'string' ? units.slice(start, end) : units.slice(start, end).join('')
}

/** `split()` without a separator: at runs of white space, none at the ends. */
export function splitAtSpaces(text: string, max = -1): string[] {
  const parts: string[] = []
  let rest = strip(text, undefined, 'start')
  while (rest !== '') {
    SPACES.lastIndex = 0
    const space = max >= 0 && parts.length >= max ? null : SPACES.exec(rest)
    if (space === null) {
      parts.push(max >= 0 && parts.length >= max ? rest : strip(rest))
      break
    }
    parts.push(rest.slice(0, space.index))
    rest = rest.slice(space.index + space[0].length)
  }
  return parts
}

/** `rsplit()` without a separator. */
export function splitAtSpacesFromEnd(text: string, max: number): string[] {
  if (max < 0) return splitAtSpaces(text)
  const parts: string[] = []
  let rest = strip(text, undefined, 'end')
  while (rest !== '') {
    let cut = rest.length
    if (parts.length < max) while (cut > 0 && !ALL_SPACE.test(rest[cut - 1]!)) cut--
    else cut = 0
    parts.push(rest.slice(cut))
    rest = cut === 0 ? '' : strip(rest.slice(0, cut), undefined, 'end')
  }
  return parts.reverse()
}

export function splitLines(text: string, keepEnds = false): string[] {
  const lines: string[] = []
  let at = 0
  for (const end of text.matchAll(LINE_END)) {
    lines.push(text.slice(at, keepEnds ? end.index + end[0].length : end.index))
    at = end.index + end[0].length
  }
  if (at < text.length) lines.push(text.slice(at))
  return lines
}

export const isSpace = (text: string): boolean => ALL_SPACE.test(text)

const CASED = /[\p{Uppercase}\p{Lowercase}\p{Lt}]/u
const CASED_SOURCE = String.raw`\p{Uppercase}\p{Lowercase}\p{Lt}`
const TITLE_PAIRS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['ǄǅǆDŽ', 'ǇǈǉLJ', 'ǊǋǌNJ', 'ǱǲǳDZ'].flatMap((row) => [...row].slice(0, 3).map((c) => [c, row[1]!])),
  ),
  ŉ: 'ʼN',
  ᾳ: 'ᾼ',
  ῃ: 'ῌ',
  ῳ: 'ῼ',
  ᾼ: 'ᾼ',
  ῌ: 'ῌ',
  ῼ: 'ῼ',
}

function titleChar(char: string): string {
  const pair = TITLE_PAIRS[char]
  if (pair !== undefined) return pair
  const code = char.codePointAt(0)!
  if (code >= 0x10d0 && code <= 0x10ff) return char // Georgian has capitals, but not for titles
  if (code >= 0x1f80 && code <= 0x1faf) return String.fromCharCode(code | 8) // Greek with iota below
  const [first = '', ...rest] = char.toUpperCase()
  return first + rest.join('').toLowerCase()
}

export function capitalize(text: string): string {
  const [first, ...rest] = codePoints(text)
  return first === undefined ? '' : titleChar(first) + rest.join('').toLowerCase()
}

/** Each run of letters that have case begins with a capital. */
export const title = (text: string): string =>
  text.replace(new RegExp(`[${CASED_SOURCE}]+`, 'gu'), (word) => {
    const [first, ...rest] = codePoints(word)
    return titleChar(first!) + rest.join('').toLowerCase()
  })

export const swapCase = (text: string): string =>
  codePoints(text)
    .map((char) => (isUpperChar(char) ? char.toLowerCase() : isLowerChar(char) ? char.toUpperCase() : char))
    .join('')

/** close to Unicode's full case folding: through capitals, so that ß is ss */
export const caseFold = (text: string): string => text.toUpperCase().toLowerCase().replaceAll('ς', 'σ')

const isUpperChar = (char: string) => /\p{Uppercase}/u.test(char)
const isLowerChar = (char: string) => /\p{Lowercase}/u.test(char)
const isTitleChar = (char: string) => /\p{Lt}/u.test(char)

export const isUpper = (text: string): boolean => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text)
export const isLower = (text: string): boolean => /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text)

export function isTitle(text: string): boolean {
  let previousCased = false
  let any = false
  for (const char of text) {
    if (isUpperChar(char) || isTitleChar(char)) {
      if (previousCased) return false
      previousCased = any = true
    } else if (isLowerChar(char)) {
      if (!previousCased) return false
      any = true
    } else previousCased = CASED.test(char)
  }
  return any
}

// Numeric_Type of Unicode 14, beyond what the general categories tell
const DIGITS =
  '\\u{b2}-\\u{b3}\\u{b9}\\u{1369}-\\u{1371}\\u{19da}\\u{2070}\\u{2074}-\\u{2079}\\u{2080}-\\u{2089}\\u{2460}-\\u{2468}\\u{2474}-\\u{247c}\\u{2488}-\\u{2490}\\u{24ea}\\u{24f5}-\\u{24fd}\\u{24ff}\\u{2776}-\\u{277e}\\u{2780}-\\u{2788}\\u{278a}-\\u{2792}\\u{10a40}-\\u{10a43}\\u{10e60}-\\u{10e68}\\u{11052}-\\u{1105a}\\u{1f100}-\\u{1f10a}'
const IDEOGRAPHS =
  '㐅㒃㠪㭍一七万三九二五亖亿什仟仨伍佰億兆兩八六十千-卅卌叁-叄四壱壹幺廾-廿弌-弎弐拾捌柒漆百肆萬貮貳贰阡陆陌陸零'
const test = (inside: string) => {
  const pattern = new RegExp(`^[${inside}]+$`, 'u')
  return (text: string) => pattern.test(text)
}
export const isDecimal = test('\\p{Nd}')
export const isDigit = test(`\\p{Nd}${DIGITS}`)
export const isNumeric = test(`\\p{N}${IDEOGRAPHS}`)
export const isAlpha = test('\\p{L}')
export const isAlnum = test(`\\p{L}\\p{N}${IDEOGRAPHS}`)
export const isIdentifier = (text: string): boolean => /^[\p{XID_Start}_]\p{XID_Continue}*$/u.test(text)
export const isPrintable = (text: string): boolean => !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text)
