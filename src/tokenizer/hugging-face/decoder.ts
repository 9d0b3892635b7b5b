// The decoder of tokenizer.json: spellings of tokens to text, one token at a time. Each step of a file takes the tokens that
// the step before gives; a `Fuse` (or `ByteLevel`, which fuses) makes all of them one, which the steps behind it then see
// in parts as they come, so that text can be shown before it is whole.
import { byteOfPiece, bytesOfPiece, utf8Decoder } from '../bytes.ts'
import { allMatches } from '../pattern/matcher.ts'
import { badField, type FilePart, matcherOf, type Step, stepsOf, unknownStep } from './file.ts'

/** One step: what a token becomes; nothing, or several. */
export interface Stage {
  push(token: string): string[]
  /** what was held back until no token follows */
  end(): string[]
}

interface DecodeMode {
  /** tokens were shown before: none is the first */
  readonly continues: boolean
  /** show bytes as soon as they are characters, though a malformed one may follow, for which the original would show none */
  readonly early: boolean
}

/** Makes the stages of one decoding; a file's decoder is read once. */
export type Decoder = (mode: DecodeMode) => Stage

export function readDecoder(part: FilePart): Decoder {
  if (part.step === null) return ({ continues }) => spaced(continues)
  const makers: ((mode: DecodeMode) => Stage)[] = []
  let fused = false
  for (const step of stepsOf(part, 'decoders')) {
    makers.push(fused ? fusedStage(step) : tokenStage(step))
    fused ||= step.type === 'Fuse' || step.type === 'ByteLevel'
  }
  return (mode) => chain(makers.map((make) => make(mode)))
}

function chain(stages: readonly Stage[]): Stage {
  if (stages.length === 1) return stages[0]!
  const pass = (tokens: string[], from: number): string[] => {
    let passed = tokens
    for (let at = from; at < stages.length && passed.length > 0; at++) {
      passed = passed.flatMap((token) => stages[at]!.push(token))
    }
    return passed
  }
  return {
    push: (token) => pass([token], 0),
    end: () => stages.flatMap((stage, at) => pass(stage.end(), at + 1)),
  }
}

const none = (): string[] => []
const each = (map: (token: string) => string): Stage => ({ push: (token) => [map(token)], end: none })

/** Without a decoder, tokens stand apart. */
function spaced(continues: boolean): Stage {
  let first = !continues
  return each((token) => {
    const shown = first ? token : ` ${token}`
    first = false
    return shown
  })
}

function tokenStage({ type, place, field }: Step): (mode: DecodeMode) => Stage {
  switch (type) {
    case 'ByteLevel': {
      const known = new Map<string, Uint8Array>()
      return () => byteLevel(known)
    }
    case 'Fuse':
      return () => each((token) => token)
    case 'ByteFallback':
      return byteFallback
    case 'WordPiece': {
      const prefix = field.text('prefix', '##')
      const clean = field.flag('cleanup', true) ? cleanUp : (text: string) => text
      return ({ continues }) => {
        let first = !continues
        return each((token) => {
          const shown = first ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`
          first = false
          return clean(shown)
        })
      }
    }
    case 'Metaspace': {
      const space = field.character('replacement', '▁')
      const keeps = prependScheme({ type, place, field }) === 'never'
      return ({ continues }) => {
        let first = !continues
        return each((token) => {
          const shown = token.replaceAll(space, first && !keeps ? '' : ' ')
          first = false
          return shown
        })
      }
    }
    case 'BPEDecoder': {
      const suffix = field.text('suffix', '</w>')
      return () => {
        let held: string | undefined // only the last token has no space behind
        const put = (token: string, space: string) => (suffix === '' ? token : token.replaceAll(suffix, () => space))
        return {
          push(token) {
            const ready = held === undefined ? [] : [put(held, ' ')]
            held = token
            return ready
          },
          end: () => (held === undefined ? [] : [put(held, '')]),
        }
      }
    }
    case 'CTC': {
      const pad = field.text('pad_token', '<pad>')
      const delimiter = field.text('word_delimiter_token', '|')
      const clean = field.flag('cleanup', true)
      return () => {
        let before: string | undefined
        return {
          push(token) {
            if (token === before) return []
            before = token
            const bare = pad === '' ? token : token.replaceAll(pad, '')
            const shown = clean ? replaceText(cleanUp(bare), delimiter, ' ') : bare
            return shown === '' ? [] : [shown]
          },
          end: none,
        }
      }
    }
    case 'Replace': {
      const replace = replacing({ type, place, field })
      return () => each(replace)
    }
    case 'Strip': {
      const strip = stripping({ type, place, field })
      return () => each(strip)
    }
    default:
      return unknownStep(place, type, 'decoder', decoderTypes)
  }
}

const decoderTypes = 'ByteLevel, Replace, WordPiece, ByteFallback, Fuse, Strip, Metaspace, BPEDecoder, CTC, Sequence'

/** A step behind a Fuse: all that comes is one token. */
function fusedStage(step: Step): (mode: DecodeMode) => Stage {
  const { type, field } = step
  if (type === 'Fuse') return () => each((token) => token)
  if (type === 'Strip') {
    const content = field.character('content')
    const start = field.count('start')
    const stop = field.count('stop')
    return ({ continues }) => stripParts(content, continues ? 0 : start, stop)
  }
  const pattern = type === 'Replace' ? (field.raw('pattern') as { String?: unknown } | undefined)?.String : undefined
  if (typeof pattern === 'string' && [...pattern].length === 1) return tokenStage(step)
  // anything else may look at all of the text: it waits for the end
  const make = tokenStage(step)
  return (mode) => {
    let whole = ''
    return {
      push(token) {
        whole += token
        return []
      },
      end() {
        const stage = make(mode)
        return [...stage.push(whole), ...stage.end()]
      },
    }
  }
}

/** Strips one text that comes in parts: up to `start` characters at its beginning, up to `stop` at its end. */
function stripParts(content: string, start: number, stop: number): Stage {
  let left = start
  let held = '' // what may be the end
  return {
    push(token) {
      let text = token
      while (left > 0 && text.startsWith(content)) {
        text = text.slice(content.length)
        left--
      }
      if (text !== '') left = 0
      held += text
      let keep = 0
      while (keep < stop && held.endsWith(content, held.length - keep * content.length)) keep++
      const ready = held.slice(0, held.length - keep * content.length)
      held = held.slice(ready.length)
      return ready === '' ? [] : [ready]
    },
    end: none, // at most `stop` characters are held: those that go
  }
}

/** `known` keeps the bytes of tokens that were decoded before */
function byteLevel(known: Map<string, Uint8Array>): Stage {
  const decoder = utf8Decoder()
  const listed = (text: string) => (text === '' ? [] : [text])
  return {
    push(token) {
      const bytes = known.get(token) ?? bytesOfPiece(token)
      known.set(token, bytes)
      return listed(decoder.decode(bytes, { stream: true }))
    },
    end: () => listed(decoder.decode()),
  }
}

/** `<0xNN>` tokens to characters; of a run that is not UTF-8, each byte is U+FFFD. */
function byteFallback({ early }: DecodeMode): Stage {
  let run: number[] = []
  let decoder = utf8Decoder()
  const flush = (): string[] => {
    if (run.length === 0) return []
    const text = early ? decoder.decode() : strictly(run)
    run = []
    decoder = utf8Decoder()
    return text === '' ? [] : [text]
  }
  return {
    push(token) {
      const byte = byteOfPiece(token)
      if (byte === undefined) return [...flush(), token]
      run.push(byte)
      if (!early) return []
      const text = decoder.decode(Uint8Array.of(byte), { stream: true })
      return text === '' ? [] : [text]
    },
    end: flush,
  }
}

function strictly(bytes: readonly number[]): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes))
  } catch {
    return '\ufffd'.repeat(bytes.length)
  }
}

/** English spelling of words that were cut at marks. */
function cleanUp(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re")
}

/** Every occurrence; an empty text stands between all characters. */
const replaceText = (text: string, what: string, by: string) =>
  what === '' ? [...text].map((char) => by + char).join('') + by : text.replaceAll(what, () => by)

/** Characters that replacing may make of a text: steps that each multiply it would end the process. */
const MAX_REPLACED = 2 ** 25

/** `Replace` of a normalizer or decoder: a text or pattern by a text. */
export function replacing(step: Step): (text: string) => string {
  const content = step.field.text('content')
  const matcher = matcherOf(step)
  return (text) => {
    if (text === '') return text
    const found = allMatches(matcher, text)
    const most = text.length + (found.length / 2) * content.length
    if (most > Math.max(MAX_REPLACED, text.length)) {
      badField(step.place, `makes more than ${MAX_REPLACED} characters of a text`)
    }
    let replaced = ''
    let done = 0
    for (let at = 0; at < found.length; at += 2) {
      replaced += text.slice(done, found[at]!) + content
      done = found[at + 1]!
    }
    return replaced + text.slice(done)
  }
}

function stripping({ field }: Step): (text: string) => string {
  const content = field.character('content')
  const start = field.count('start')
  const stop = field.count('stop')
  return (text) => {
    const chars = [...text]
    let from = 0
    while (from < start && chars[from] === content) from++
    let to = chars.length
    while (to > from && chars.length - to < stop && chars[to - 1] === content) to--
    return chars.slice(from, to).join('')
  }
}

/** `prepend_scheme` of a Metaspace, which files of old call `add_prefix_space`. */
export function prependScheme({ place, field }: Step): 'always' | 'first' | 'never' {
  const scheme = field.choice('prepend_scheme', ['always', 'first', 'never'], undefined)
  const older = field.raw('add_prefix_space')
  if (older === false && scheme !== undefined && scheme !== 'never') {
    badField(`${place}.prepend_scheme`, `is '${scheme}', though add_prefix_space is false`)
  }
  return older === false ? 'never' : (scheme ?? 'always')
}
