// Sets of code points, written as classes of JavaScript's `v` mode. Names of properties as Oniguruma knows them: upper and
// lower case, spaces, `-` and `_` make no difference.

export const hexOf = (code: number): string => `\\u{${code.toString(16)}}`

export const sets = {
  any: '\\p{Any}',
  notNewline: '[^\\u{a}]',
  digit: '\\p{Nd}',
  space: '\\p{White_Space}',
  word: '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}]',
  /** outside of brackets `\w` and `\b` have these of Latin 1, too */
  looseWord: '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u{b2}\\u{b3}\\u{b9}\\u{bc}-\\u{be}]',
  hex: '[0-9A-Fa-f]',
  lineBreak: '[\\u{a}-\\u{d}\\u{85}\\u{2028}\\u{2029}]',
} as const

const bracketed: Readonly<Record<string, string>> = {
  alnum: '[\\p{Alphabetic}\\p{Nd}]',
  alpha: '\\p{Alphabetic}',
  ascii: '[\\u{0}-\\u{7f}]',
  blank: '[\\p{Zs}\\u{9}]',
  cntrl: '\\p{Cc}',
  digit: sets.digit,
  graph: '[^\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}]',
  lower: '\\p{Lowercase}',
  print: '[[^\\p{White_Space}\\p{Cc}\\p{Cn}\\p{Cs}]\\p{Zs}]',
  punct: '[\\p{P}\\p{S}]',
  space: sets.space,
  upper: '\\p{Uppercase}',
  word: sets.word,
  xdigit: sets.hex,
  any: sets.any,
  assigned: '\\P{Cn}',
}

const categories =
  'L Lu Ll Lt LC Lm Lo M Mn Mc Me N Nd Nl No P Pc Pd Ps Pe Pi Pf Po S Sm Sc Sk So Z Zs Zl Zp C Cc Cf Cn Co Cs Letter ' +
  'Uppercase_Letter Lowercase_Letter Titlecase_Letter Cased_Letter Modifier_Letter Other_Letter Mark Nonspacing_Mark ' +
  'Spacing_Mark Enclosing_Mark Number Decimal_Number Letter_Number Other_Number Punctuation Connector_Punctuation ' +
  'Dash_Punctuation Open_Punctuation Close_Punctuation Initial_Punctuation Final_Punctuation Other_Punctuation Symbol ' +
  'Math_Symbol Currency_Symbol Modifier_Symbol Other_Symbol Separator Space_Separator Line_Separator ' +
  'Paragraph_Separator Other Control Format Unassigned Private_Use Surrogate'
const binary =
  'Alphabetic Uppercase Lowercase White_Space Cased Case_Ignorable ID_Start ID_Continue XID_Start XID_Continue Math Dash ' +
  'Hex_Digit ASCII_Hex_Digit Ideographic Diacritic Extender Emoji Emoji_Presentation Emoji_Modifier ' +
  'Emoji_Modifier_Base Emoji_Component Extended_Pictographic Variation_Selector Join_Control Quotation_Mark ' +
  'Grapheme_Base Grapheme_Extend Unified_Ideograph Radical Regional_Indicator Default_Ignorable_Code_Point ' +
  'Noncharacter_Code_Point Pattern_Syntax Pattern_White_Space Sentence_Terminal Terminal_Punctuation'

const plain = (name: string) => name.toLowerCase().replace(/[\s_-]/g, '')
const named = new Map<string, string>([
  ...[...categories.split(' '), ...binary.split(' ')].map((name) => [plain(name), `\\p{${name}}`] as const),
  ...Object.entries(bracketed),
])

/** The class of a property's or bracket's name, or undefined for one that is not known. */
export function propertySet(name: string): string | undefined {
  const known = named.get(plain(name))
  if (known) return known
  // scripts: in the file's spelling, or each of their words with a capital
  const words = name.trim().replace(/[\s-]+/g, '_')
  for (const spelling of [words, words.toLowerCase().replace(/(?<![a-z])[a-z]/g, (letter) => letter.toUpperCase())]) {
    if (!/^[A-Za-z_]+$/.test(spelling)) continue
    const script = `\\p{Script=${spelling}}`
    if (compiles(script)) return script
  }
  return undefined
}

const compiles = (set: string): boolean => {
  try {
    return new RegExp(set, 'v') instanceof RegExp
  } catch {
    return false
  }
}

/** Tells which code points a class has; remembers those of the first plane. */
export function membership(source: string): (code: number) => boolean {
  const regex = new RegExp(`^${source}$`, 'v')
  const known = new Uint8Array(0x10000) // 0 not asked, 1 out, 2 in
  return (code) => {
    if (code > 0xffff) return regex.test(String.fromCodePoint(code))
    const answer = known[code]!
    if (answer !== 0) return answer === 2
    const inside = regex.test(String.fromCharCode(code))
    known[code] = inside ? 2 : 1
    return inside
  }
}

let known: ReadonlyMap<number, readonly number[]> | undefined

/** Code point → those that differ from it in case only, itself included (simple case folding). */
function caseGroups(): ReadonlyMap<number, readonly number[]> {
  if (known) return known
  const cased = Array.from({ length: 0x2000 }, (_, block) => String.fromCodePoint(...codesOf(block))).join('')
  const groups = new Map<number, number[]>()
  for (const char of cased.match(/\p{Changes_When_Casemapped}/gu)!) {
    const upper = single(char.toUpperCase(), char)
    const folded = single(upper.toLowerCase(), upper).codePointAt(0)!
    const group = groups.get(folded) ?? []
    group.push(char.codePointAt(0)!)
    groups.set(folded, group)
  }
  known = new Map([...groups.values()].flatMap((group) => group.map((code) => [code, group] as const)))
  return known
}

const single = (text: string, otherwise: string) => ([...text].length === 1 ? text : otherwise)

/** 16 code points, none of them surrogates */
const codesOf = (block: number) =>
  block >= 0xd80 && block < 0xe00 ? [] : Array.from({ length: 16 }, (_, at) => block * 16 + at)

/** The class with every code point that differs from one of its own in case only. */
export function foldSet(source: string): string {
  const one = /^\\u\{([0-9a-f]+)\}$/.exec(source)
  const more = one ? (caseGroups().get(Number.parseInt(one[1]!, 16)) ?? []) : groupsOf(membership(source)).flat()
  return more.length < 2 ? source : `[${source}${more.map(hexOf).join('')}]`
}

const groupsOf = (has: (code: number) => boolean) =>
  [...new Set(caseGroups().values())].filter((group) => group.length > 1 && group.some(has))
