// Models that tests run: the two in models/, GGUF files made from them, and checkpoints of random weights. What is made is
// made once a machine: its folder is named by a hash of all it depends on, and appears whole or not at all.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { packageRoot } from '../ir/package-root.ts'
import { type GgufFileType, type HfConfig, writeGgufFrom, writeStoryGguf } from './gguf-writer.ts'
import { type RandomHfOptions, writeRandomHf } from './hf-writer.ts'

export const storyNames = ['story-3m', 'story-15m'] as const
export type StoryName = (typeof storyNames)[number]

/** One prompt's run in transformers: float32, CPU, greedy. */
export interface StoryRun {
  readonly prompt: string
  readonly prompt_ids: readonly number[]
  readonly token_ids: readonly number[]
  readonly text: string
  /** [token, logit] of the five best, for each of the first eight steps */
  readonly top5_first_steps: readonly (readonly [token: number, logit: number][])[]
  /** best logit less the second best, each step */
  readonly top2_gap: readonly number[]
  /** [token, logit] of the ten best behind the last token */
  readonly last_top10: readonly [token: number, logit: number][]
}

/** How far llama.cpp follows the float32 run on one file. */
export interface OracleRun {
  readonly prompt: string
  readonly same_tokens: number
  readonly of: number
  readonly text: string
}

const models = join(packageRoot(), 'models')
const readJson = (file: string) => JSON.parse(readFileSync(join(models, file), 'utf8'))

export const storyFolder = (name: StoryName): string => join(models, name)
export const storyRuns: Readonly<Record<StoryName, readonly StoryRun[]>> = readJson('reference.json').models
/** by file name, `story-15m.Q8_0.gguf` */
export const oracleRuns: Readonly<Record<string, readonly OracleRun[]>> = readJson('oracle-llama-cpp.json').models

/** A bundled model as GGUF. */
export function storyGguf(name: StoryName, type: GgufFileType): string {
  const source = createHash('sha256')
    .update(readFileSync(join(storyFolder(name), 'model.safetensors')))
    .digest('hex')
  const file = `${name}.${type}.gguf`
  return join(
    made([name, source, type], (folder) => writeStoryGguf(storyFolder(name), join(folder, file), type)),
    file,
  )
}

/** A Hugging Face folder of random weights. */
export const randomHf = (config: Partial<HfConfig> = {}, options: RandomHfOptions = {}): string =>
  made([config, options], (folder) => writeRandomHf(folder, config, options))

/** The same as GGUF. */
export function randomGguf(config: Partial<HfConfig>, type: GgufFileType): string {
  const source = randomHf(config)
  return join(
    made([config, type], (folder) => writeGgufFrom(source, join(folder, 'model.gguf'), type)),
    'model.gguf',
  )
}

const writers = ['gguf-writer.ts', 'hf-writer.ts', 'quantize.ts', '../ir/quant.ts', '../ir/half.ts']

/** The folder that `write` fills, from an earlier call where there was one. Processes may race: one wins, none sees half. */
function made(what: unknown, write: (folder: string) => void): string {
  const hash = createHash('sha256').update(JSON.stringify(what))
  for (const file of writers) hash.update(readFileSync(join(packageRoot(), 'test', file)))
  const folder = join(tmpdir(), `rocmforge-test-models-${userInfo().uid}`, hash.digest('hex').slice(0, 24))
  if (existsSync(folder)) return folder
  const draft = `${folder}.${process.pid}`
  mkdirSync(dirname(folder), { recursive: true })
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft)
  write(draft)
  try {
    renameSync(draft, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
    rmSync(draft, { recursive: true })
  }
  return folder
}
