// The post-processor of tokenizer.json: the tokens that encoding puts around one text. What it says of pairs of texts and of
// offsets is not needed.
import { quoted } from '../../../ir/visible-text.ts'
import { contradiction, Fields, type FilePart, type Step, stepsOf, unknownStep } from './file.ts'

export interface Ends {
  readonly prefix: readonly number[]
  readonly suffix: readonly number[]
}

/** `idOf`: the id that the rest of the file gives a token's text */
export function readPostProcessor(part: FilePart, idOf: (text: string) => number | undefined): Ends {
  // a ByteLevel is about offsets only
  const steps = stepsOf(part, 'processors').filter(({ type }) => type !== 'ByteLevel')
  if (steps.length > 1) {
    unknownStep(steps[1]!.place, steps[1]!.type, 'a second post-processor,', 'one that adds tokens, beside ByteLevel')
  }
  return steps[0] ? endsOf(steps[0], idOf) : { prefix: [], suffix: [] }
}

function endsOf(step: Step, idOf: (text: string) => number | undefined): Ends {
  const { type, place, field } = step
  const check = (text: string, id: unknown, where: string): number => {
    const known = idOf(text)
    if (known === undefined) return contradiction(where, `names ${quoted(text)}, which the vocabulary lacks`)
    if (known !== id)
      contradiction(where, `gives ${quoted(text)} the id ${shown(id)}, the vocabulary gives it ${known}`)
    return known
  }
  switch (type) {
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const idIn = (name: string) => {
        const [text, id] = field.list(name)
        return typeof text === 'string'
          ? check(text, id, `${place}.${name}`)
          : contradiction(`${place}.${name}`, 'is not a token and its id')
      }
      return { prefix: [idIn('cls')], suffix: [idIn('sep')] }
    }
    case 'TemplateProcessing': {
      const tokens = new Fields(field.object('special_tokens', {}), `${place}.special_tokens`)
      const prefix: number[] = []
      const suffix: number[] = []
      let texts = 0
      for (const [at, given] of field.list('single').entries()) {
        const where = `${place}.single[${at}]`
        const piece = new Fields(given, where)
        if (piece.has('Sequence')) {
          const id = new Fields(piece.raw('Sequence'), `${where}.Sequence`).text('id')
          if (id !== 'A') contradiction(where, `places a second text, ${quoted(id)}, where there is one`)
          texts++
          continue
        }
        const name = new Fields(piece.object('SpecialToken'), `${where}.SpecialToken`).text('id')
        if (!tokens.has(name)) contradiction(where, `names ${quoted(name)}, which special_tokens lacks`)
        const entry = `${place}.special_tokens[${quoted(name)}]`
        const token = new Fields(tokens.raw(name), entry)
        const ids = token.list('ids')
        const spellings = token.list('tokens')
        if (ids.length !== spellings.length)
          contradiction(entry, `has ${ids.length} ids for ${spellings.length} tokens`)
        for (const [index, id] of ids.entries()) {
          ;(texts === 0 ? prefix : suffix).push(check(String(spellings[index]), id, entry))
        }
      }
      if (texts !== 1) contradiction(`${place}.single`, `places the text ${texts} times`)
      return { prefix, suffix }
    }
    default:
      return unknownStep(
        place,
        type,
        'post-processor',
        'TemplateProcessing, BertProcessing, RobertaProcessing, ByteLevel, Sequence',
      )
  }
}

const shown = (id: unknown) => (typeof id === 'number' ? String(id) : quoted(String(JSON.stringify(id)), 20))
