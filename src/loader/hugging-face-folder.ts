// A Hugging Face folder as a checkpoint: config.json, safetensors, tokenizer files, generation_config.json.
import { basename, dirname, join, resolve } from 'node:path'
import { Diagnostic, fail } from '../../ir/diagnostic.ts'
import type { HuggingFaceTokenizerSource } from '../tokenizer/source.ts'
import { type CheckpointParts, type OpenOptions, refuseUnknownArchitecture } from './checkpoint-parts.ts'
import { readGenerationConfig } from './generation-config.ts'
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
  const notes: string[] = []
  const generation = readGenerationConfig(join(folder, 'generation_config.json'), config['vocab_size'], notes)
  const { tokenizer, addBos } = readTokenizer(folder, notes)
  const files: SourceFile[] = []
  try {
    const weights = openSafetensors(folder, only && shardOrFile(only), files, notes)
    const model = readHuggingFaceConfig(config, {
      file: configFile,
      architecture,
      name: basename(resolve(folder)),
      weights,
      extraEos: generation.eos,
      addBos,
      context: options.context,
    })
    return {
      format: 'safetensors',
      config: model,
      weights,
      tokenizer,
      generation: { ...generation, eos: model.eos },
      notes,
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

function readTokenizer(
  folder: string,
  notes: string[],
): { tokenizer: HuggingFaceTokenizerSource; addBos: boolean | undefined } {
  const settingsFile = join(folder, 'tokenizer_config.json')
  const settings = isRegularFile(settingsFile) ? readSettings(settingsFile) : undefined
  const template = join(folder, 'chat_template.jinja')
  const addBos = settings?.['add_bos_token']
  return {
    tokenizer: {
      kind: 'huggingface',
      tokenizerJson: join(folder, 'tokenizer.json'),
      tokenizerConfig: settings && settingsFile,
      specialTokens: readSpecialTokens(join(folder, 'special_tokens_map.json'), notes),
      chatTemplate: isRegularFile(template) ? readSmallFile(template, templateLimit).toString('utf8') : undefined,
    },
    addBos: typeof addBos === 'boolean' ? addBos : undefined,
  }
}

/** Texts of special tokens by role. Older than tokenizer_config.json, which says the same and more: a damaged one is no loss. */
function readSpecialTokens(file: string, notes: string[]): Record<string, string> | undefined {
  if (!isRegularFile(file)) return undefined
  let roles: JsonObject
  try {
    roles = readSettings(file)
  } catch (error) {
    if (!(error instanceof Diagnostic)) throw error
    notes.push(`special_tokens_map.json is ignored: ${error.summary}`)
    return undefined
  }
  const texts = Object.entries(roles).map(([role, token]): [string, unknown] => [
    role,
    token !== null && typeof token === 'object' && !Array.isArray(token) ? token['content'] : token,
  ])
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
}
