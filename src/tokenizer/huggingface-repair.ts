// Where the @huggingface/tokenizers package (0.2.0) reads tokenizer.json otherwise than the original library: the
// pre-tokenizers concerned are rewritten as `Split` by a pattern, which the package translates faithfully. Known:
//   ByteLevel    its own pattern uses JavaScript's \s (has U+FEFF, lacks U+0085)
//   Digits       only 0-9, the original takes every numeric character
//   Whitespace   \w is ASCII only
//   Punctuation  joins neighbours; `behavior` is ignored
//   Metaspace    `split` and the older `add_prefix_space` are ignored
//   Split        merging behaviours are ignored, and an inverted one drops the text between
// Beyond repair and accepted: `Precompiled` normalizers approximate their table by NFKC.

/** A step of tokenizer.json: plain JSON with a type. */
export type Step = { readonly type: string } & Readonly<Record<string, unknown>>

const GPT2 = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
const PUNCTUATION = String.raw`[\p{P}!-\/:-@\[-${'`'}\{-~]`

const split = (regex: string, behavior = 'Isolated', invert = false): Step =>
  mergingSplit({ type: 'Split', pattern: { Regex: regex }, behavior, invert })

export function repairPreTokenizer(step: Step | null | undefined): Step | null {
  if (!step) return null
  switch (step.type) {
    case 'Sequence':
      return { ...step, pretokenizers: (step.pretokenizers as Step[]).map(repairPreTokenizer) }
    case 'ByteLevel': {
      const steps: Step[] = []
      if (step.add_prefix_space) {
        steps.push({ type: 'Replace', pattern: { Regex: String.raw`\A(?! )` }, content: ' ' })
      }
      if (step.use_regex !== false) steps.push(split(GPT2))
      steps.push({ ...step, add_prefix_space: false, use_regex: false })
      return sequence(steps)
    }
    case 'Digits':
      return split(step.individual_digits ? String.raw`\p{N}` : String.raw`\p{N}+`)
    case 'Whitespace':
      return split(String.raw`\w+|[^\w\s]+`, 'Removed', true)
    case 'Punctuation':
      return split(PUNCTUATION, (step.behavior as string | undefined) ?? 'Isolated')
    case 'Metaspace': {
      const scheme = step.prepend_scheme ?? (step.add_prefix_space === false ? 'never' : 'always')
      const metaspace = { ...step, prepend_scheme: scheme }
      if (step.split === false) return metaspace
      return sequence([
        metaspace,
        split(escapeRegex((step.replacement as string | undefined) ?? '▁'), 'MergedWithNext'),
      ])
    }
    case 'Split':
      return mergingSplit(step)
    default:
      return step
  }
}

const sequence = (pretokenizers: Step[]): Step => ({ type: 'Sequence', pretokenizers })

/** The same cuts as a split that isolates its matches, which is what the package knows beside `Removed`. */
function mergingSplit(step: Step): Step {
  const pattern = step.pattern as { Regex?: string; String?: string } | undefined
  const regex = pattern?.Regex ?? (pattern?.String === undefined ? undefined : escapeRegex(pattern.String))
  if (regex === undefined || step.behavior === 'Removed') return step
  const other = String.raw`(?:(?!${regex})[\s\S])`
  const isolated = (source: string): Step => ({
    ...step,
    pattern: { Regex: source },
    behavior: 'Isolated',
    invert: false,
  })
  switch (step.behavior) {
    case 'MergedWithPrevious':
      return isolated(`${other}*(?:${regex})`)
    case 'MergedWithNext':
      return isolated(`(?:${regex})${other}*`)
    case 'Contiguous':
      return isolated(`(?:${regex})+`)
    default:
      return { ...step, invert: false } // what lies between isolated matches stays, inverted or not
  }
}

const escapeRegex = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

/** How pieces become text again. */
export type Detokenization =
  | { readonly kind: 'bytes' }
  | {
      readonly kind: 'spaces'
      readonly space: string
      readonly byteFallback: boolean
      readonly stripLeadingSpace: boolean
    }

/** Reads the decoder; undefined for one that is not known. A missing decoder follows a byte-level pre-tokenizer. */
export function detokenization(
  decoder: Step | null | undefined,
  preTokenizer: Step | null | undefined,
): Detokenization | undefined {
  const steps = flatten(decoder, 'decoders')
  const has = (type: string) => steps.find((step) => step.type === type)
  if (has('ByteLevel')) return { kind: 'bytes' }
  if (steps.length === 0) {
    return flatten(preTokenizer, 'pretokenizers').some((step) => step.type === 'ByteLevel')
      ? { kind: 'bytes' }
      : undefined
  }
  const metaspace = has('Metaspace')
  const replace = steps.find((step) => step.type === 'Replace' && step.content === ' ')
  const strip = has('Strip')
  const byteFallback = has('ByteFallback') !== undefined
  if (metaspace) {
    const scheme = metaspace.prepend_scheme ?? (metaspace.add_prefix_space === false ? 'never' : 'always')
    const space = (metaspace.replacement as string | undefined) ?? '▁'
    return { kind: 'spaces', space, byteFallback, stripLeadingSpace: scheme !== 'never' }
  }
  const space = (replace?.pattern as { String?: string } | undefined)?.String
  if (space === undefined) return undefined
  const stripLeadingSpace = strip?.content === ' ' && Number(strip.start) > 0
  return { kind: 'spaces', space, byteFallback, stripLeadingSpace }
}

function flatten(step: Step | null | undefined, key: string): Step[] {
  if (!step) return []
  return step.type === 'Sequence' ? (step[key] as Step[]).flatMap((inner) => flatten(inner, key)) : [step]
}
