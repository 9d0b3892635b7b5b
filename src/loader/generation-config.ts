// generation_config.json: how the authors of a model would have it sampled. Nothing in it is needed to run the model, and
// published ones are often odd: what cannot be used is left out and said, and the model loads (as transformers does).
import { z } from 'zod'
import { Diagnostic } from '../../ir/diagnostic.ts'
import type { GenerationDefaults } from './checkpoint-parts.ts'
import { isRegularFile, readSmallFile } from './source-file.ts'
import { type Json, type JsonObject, parseJsonObject } from './strict-json.ts'

const limit = 16 * 2 ** 20
const name = 'generation_config.json'

const share = z.number().min(0).max(1)
const schemas = {
  do_sample: z.boolean(),
  temperature: z.number().min(0).max(1000),
  top_k: z.int().min(0).max(0x7fffffff),
  top_p: share,
  min_p: share,
  repetition_penalty: z.number().positive().max(100),
} as const
const expectations: Record<keyof typeof schemas, string> = {
  do_sample: 'true or false',
  temperature: 'a number from 0 to 1000',
  top_k: 'a whole number from 0',
  top_p: 'a number from 0 to 1',
  min_p: 'a number from 0 to 1',
  repetition_penalty: 'a number above 0, up to 100',
}

/** What the file says; each oddity adds a sentence to `notes`. `vocabSize` is config.json's own word, not yet checked. */
export function readGenerationConfig(file: string, vocabSize: unknown, notes: string[]): GenerationDefaults {
  const settings = isRegularFile(file) ? readSettings(file, notes) : {}
  const read = <K extends keyof typeof schemas>(key: K): z.output<(typeof schemas)[K]> | undefined => {
    const given = settings[key] ?? undefined
    if (given === undefined || meansAll(key, given)) return undefined
    const parsed = schemas[key].safeParse(given)
    if (parsed.success) return parsed.data as z.output<(typeof schemas)[K]>
    notes.push(`${name}: ${key} ${shown(given)} is ignored, expected ${expectations[key]}`)
    return undefined
  }
  return {
    doSample: read('do_sample'),
    temperature: read('temperature'),
    topK: read('top_k'),
    topP: read('top_p'),
    minP: read('min_p'),
    repetitionPenalty: read('repetition_penalty'),
    eos: readEnds(settings['eos_token_id'], vocabSize, notes),
  }
}

/** "All tokens" as some servers write it: the same as nothing said. */
const meansAll = (key: string, given: Json): boolean =>
  key === 'top_k' && (given === -1 || (typeof given === 'string' && given.toLowerCase() === 'all'))

function readEnds(given: Json | undefined, vocabSize: unknown, notes: string[]): number[] {
  if (given === undefined || given === null) return []
  const most = typeof vocabSize === 'number' ? vocabSize : 2 ** 31
  return (Array.isArray(given) ? given : [given]).filter((id): id is number => {
    const isToken = typeof id === 'number' && Number.isInteger(id) && id >= 0 && id < most
    if (!isToken)
      notes.push(`${name}: eos_token_id ${shown(id)} is ignored, expected a token of the vocabulary of ${most}`)
    return isToken
  })
}

/** The file's object; a comma too many is passed over, and an empty or damaged file has nothing to say. */
function readSettings(file: string, notes: string[]): JsonObject {
  try {
    const bytes = readSmallFile(file, limit)
    if (bytes.toString('latin1').trim() === '') {
      notes.push(`${name} is empty: the model is used without sampling defaults`)
      return {}
    }
    let commas = 0
    const settings = parseJsonObject(bytes, {
      code: 'bad-config',
      file,
      mode: 'config',
      onTrailingComma: () => commas++,
    })
    if (commas) notes.push(`${name} has a comma behind its last value: it is passed over`)
    return settings
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    notes.push(`${name} is ignored: ${error.summary}`)
    return {}
  }
}

/** JSON has no word for numbers beyond the finite ones. */
const shown = (value: Json): string => (typeof value === 'number' ? `${value}` : JSON.stringify(value).slice(0, 60))
