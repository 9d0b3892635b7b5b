// A Hugging Face folder as a checkpoint: config.json, safetensors, tokenizer files, generation_config.json.
import { basename, dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { fail } from '../../ir/diagnostic.ts'
import type { HuggingFaceTokenizerSource } from '../tokenizer/source.ts'
import {
  type CheckpointParts,
  type GenerationDefaults,
  type OpenOptions,
  refuseUnknownArchitecture,
} from './checkpoint-parts.ts'
import { architectureOf, readHuggingFaceConfig } from './hugging-face-config.ts'
import { openSafetensors } from './safetensors-weights.ts'
import { isRegularFile, readSmallFile, type SourceFile } from './source-file.ts'
import { type JsonObject, parseJsonObject } from './strict-json.ts'

/** Bytes that a JSON file of settings may have. */
const settingsLimit = 16 * 2 ** 20
/** Bytes that a chat template may have. */
const templateLimit = 2 ** 20

/** `only`: one safetensors file of the folder, for when the path names a file. */
export function openHuggingFace(folder: string, only: string | undefined, options: OpenOptions): CheckpointParts {
  const configFile = join(folder, 'config.json')
  if (!isRegularFile(configFile)) {
    fail({
      code: 'not-a-checkpoint',
      message: only ? 'the weights have no configuration beside them' : 'the folder holds no model',
      facts: [
        ['folder', folder],
        ['expected', 'config.json'],
      ],
      help: 'give a Hugging Face folder, or a .gguf file',
    })
  }
  const config = readSettings(configFile)
  const architecture = architectureOf(config)
  if (architecture === undefined) {
    return fail({
      code: 'bad-config',
      message: 'the model description lacks a key',
      facts: [
        ['file', configFile],
        ['key', 'model_type'],
        ['expected', 'the name of an architecture'],
        ['got', 'nothing'],
      ],
    })
  }
  refuseUnknownArchitecture(configFile, architecture, options)
  const generation = readGeneration(join(folder, 'generation_config.json'))
  const { tokenizer, addBos } = readTokenizer(folder)
  const files: SourceFile[] = []
  try {
    const weights = openSafetensors(folder, only && shardOrFile(only), files)
    const model = readHuggingFaceConfig(config, {
      file: configFile,
      architecture,
      name: basename(resolve(folder)),
      weights,
      extraEos: generation.eos,
      addBos,
    })
    return {
      format: 'safetensors',
      config: model,
      weights,
      tokenizer,
      generation: { ...generation, eos: model.eos },
      files,
    }
  } catch (error) {
    for (const file of files) file.close()
    throw error
  }
}

/** A shard of an indexed model stands for the model: undefined, so that the index is read. */
function shardOrFile(path: string): string | undefined {
  const isShard = /-\d{5}-of-\d{5}\.safetensors$/.test(path)
  return isShard && isRegularFile(join(dirname(path), 'model.safetensors.index.json')) ? undefined : path
}

function readSettings(file: string): JsonObject {
  return parseJsonObject(readSmallFile(file, settingsLimit), { code: 'bad-config', file, mode: 'config' })
}

function readTokenizer(folder: string): { tokenizer: HuggingFaceTokenizerSource; addBos: boolean | undefined } {
  const settingsFile = join(folder, 'tokenizer_config.json')
  const settings = isRegularFile(settingsFile) ? readSettings(settingsFile) : undefined
  const template = join(folder, 'chat_template.jinja')
  const addBos = settings?.['add_bos_token']
  return {
    tokenizer: {
      kind: 'huggingface',
      tokenizerJson: join(folder, 'tokenizer.json'),
      tokenizerConfig: settings && settingsFile,
      chatTemplate: isRegularFile(template) ? readSmallFile(template, templateLimit).toString('utf8') : undefined,
    },
    addBos: typeof addBos === 'boolean' ? addBos : undefined,
  }
}

const generationSchema = z.object({
  do_sample: z.boolean({ error: 'true or false' }).nullish(),
  temperature: z.number({ error: 'a number' }).min(0, { error: 'a number from 0' }).nullish(),
  top_k: z.int({ error: 'a whole number' }).min(0, { error: 'a whole number from 0' }).nullish(),
  top_p: z
    .number({ error: 'a number' })
    .min(0, { error: 'a number from 0 to 1' })
    .max(1, { error: 'a number from 0 to 1' })
    .nullish(),
  min_p: z
    .number({ error: 'a number' })
    .min(0, { error: 'a number from 0 to 1' })
    .max(1, { error: 'a number from 0 to 1' })
    .nullish(),
  repetition_penalty: z.number({ error: 'a number' }).positive({ error: 'a number above 0' }).nullish(),
  eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0))], { error: 'a token, or a list of tokens' }).nullish(),
})

function readGeneration(file: string): GenerationDefaults {
  if (!isRegularFile(file)) return { eos: [] }
  const settings = readSettings(file)
  const parsed = generationSchema.safeParse(settings)
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    return fail({
      code: 'bad-config',
      message: 'the sampling defaults have an impossible value',
      facts: [
        ['file', file],
        ['key', String(path[0])],
        ['expected', message],
        ['got', JSON.stringify(settings[String(path[0])])],
      ],
    })
  }
  const { do_sample, temperature, top_k, top_p, min_p, repetition_penalty, eos_token_id: eos } = parsed.data
  return {
    doSample: do_sample ?? undefined,
    temperature: temperature ?? undefined,
    topK: top_k ?? undefined,
    topP: top_p ?? undefined,
    minP: min_p ?? undefined,
    repetitionPenalty: repetition_penalty ?? undefined,
    eos: eos === undefined || eos === null ? [] : Array.isArray(eos) ? eos : [eos],
  }
}
