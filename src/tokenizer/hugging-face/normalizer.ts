// The normalizer of tokenizer.json: what is done to a text before it is cut. Each step is a function on the whole text, in
// time linear in it.
import { spellBytes } from '../bytes.ts'
import { replacing } from './decoder.ts'
import { type FilePart, type Step, stepsOf, unknownStep } from './file.ts'
import { precompiled } from './precompiled.ts'

export type Normalize = (text: string) => string

export function readNormalizer(part: FilePart): Normalize | undefined {
  const steps = stepsOf(part, 'normalizers').map(normalization)
  if (steps.length === 0) return undefined
  return (text) => steps.reduce((normal, step) => step(normal), text)
}

function normalization(step: Step): Normalize {
  const { type, place, field } = step
  switch (type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => text.normalize(type)
    case 'Lowercase':
      return lowercase
    case 'StripAccents':
      return (text) => text.replace(/\p{M}+/gu, '')
    case 'Strip': {
      const [left, right] = [field.flag('strip_left'), field.flag('strip_right')]
      return (text) => {
        const from = left ? /^\p{White_Space}*/u.exec(text)![0].length : 0
        let to = text.length
        while (right && to > from && SPACE.test(text[to - 1]!)) to--
        return text.slice(from, to)
      }
    }
    case 'Prepend': {
      const before = field.text('prepend')
      return (text) => (text === '' ? text : before + text)
    }
    case 'Replace':
      return replacing(step)
    case 'Nmt':
      return (text) => text.replace(NMT_DROPPED, '').replace(NMT_SPACES, ' ')
    case 'ByteLevel':
      return spellBytes
    case 'BertNormalizer':
    case 'Bert':
      return bert(step)
    case 'Precompiled':
      return precompiled(step)
    default:
      return unknownStep(
        place,
        type,
        'normalizer',
        'NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, ByteLevel, BertNormalizer, ' +
          'Precompiled, Sequence',
      )
  }
}

const SPACE = /\p{White_Space}/u
// SentencePiece's nmt rules, as the original library has them
const NMT_DROPPED = /(?![\0\t\n\f\r\x80-\x8e\x90-\x9e])\p{Cc}/gu
const NMT_SPACES = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g

/** Character by character: a sigma at the end of a word is as any other. */
const lowercase = (text: string) => text.replaceAll('Σ', 'σ').toLowerCase()

const CHINESE =
  /[\u{4e00}-\u{9fff}\u{3400}-\u{4dbf}\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{f900}-\u{faff}\u{2f800}-\u{2fa1f}]/gu

function bert({ field }: Step): Normalize {
  const clean = field.flag('clean_text', true)
  const chinese = field.flag('handle_chinese_chars', true)
  const lower = field.flag('lowercase', true)
  const strip = field.has('strip_accents') ? field.flag('strip_accents') : lower
  return (given) => {
    let text = given
    if (clean) text = text.replace(BERT_DROPPED, '').replace(/\p{White_Space}/gu, ' ')
    if (chinese) text = text.replace(CHINESE, ' $& ')
    if (strip) text = text.normalize('NFD').replace(/\p{Mn}+/gu, '')
    return lower ? lowercase(text) : text
  }
}

/** NUL, U+FFFD and what is "other" in Unicode, but for tab and line ends */
const BERT_DROPPED = /[\0\ufffd]|(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}]/gu
