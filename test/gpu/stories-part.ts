// Both story models give the reference's tokens: from the Hugging Face folder and from GGUF files of every type, fused and
// not, replayed from a captured graph and launched one by one.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../ir/package-root.ts'
import { compile } from '../../src/api/compile.ts'
import type { CompileOptions } from '../../src/options.ts'
import type { GgufFileType } from '../gguf-writer.ts'
import { StoryWorkers } from './story-workers.ts'
import type { Suite } from './suite.ts'
import type { SuiteDevice } from './suite-device.ts'

interface StoryRun {
  readonly prompt: string
  readonly prompt_ids: readonly number[]
  readonly token_ids: readonly number[]
  /** the best logit less the second best, each step */
  readonly top2_gap: readonly number[]
}

/** Logits closer than this are a tie: f32 sums in another order decide it. */
const tie = 2e-3
const fileTypes: readonly GgufFileType[] = [
  'F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1', 'Q4_K_M', 'Q5_K_M', 'Q6_K',
] // biome-ignore format: one line

export interface StoryOptions {
  readonly scratch: string
  readonly quick: boolean
}

export async function storiesPart(suite: Suite, device: SuiteDevice, { scratch, quick }: StoryOptions): Promise<void> {
  const runs: Record<string, readonly StoryRun[]> = JSON.parse(
    readFileSync(join(packageRoot(), 'models/reference.json'), 'utf8'),
  ).models
  await using workers = new StoryWorkers()
  const pending: (() => Promise<unknown>)[] = []
  const names = quick ? ['story-3m'] : ['story-3m', 'story-15m']
  const types = quick ? (['Q8_0'] as const) : fileTypes
  const fileOf = (name: string, type: GgufFileType) => join(scratch, `${name}.${type}.gguf`)
  const folderOf = (name: string) => join(packageRoot(), 'models', name)
  for (const type of types) for (const name of names) void workers.write(folderOf(name), fileOf(name, type), type) // meanwhile the device is busy
  for (const name of names) {
    const folder = folderOf(name)
    const prompts = quick ? runs[name]!.slice(0, 1) : runs[name]!
    await suite.check(`${name} from safetensors: the tokens of transformers, ${levels}, replayed or not`, async () => {
      for (const made of await generations(suite, device, folder, prompts, quick)) compareRuns(prompts, made)
    })
    for (const type of types) {
      const file = fileOf(name, type)
      await workers.write(folder, file, type)
      await suite.check(`${name}.${type}.gguf: generates on the device, ${levels}, replayed or not`, async () => {
        const made = await generations(suite, device, file, prompts, quick)
        for (const sequences of made)
          sequences.forEach((sequence, i) => void workers.gaps(file, prompts[i]!.prompt_ids, sequence))
        pending.push(() =>
          suite.check(`${name}.${type}.gguf: each token is the reference executor's choice`, async () => {
            for (const sequences of made)
              for (const [i, sequence] of sequences.entries()) {
                const gaps = await workers.gaps(file, prompts[i]!.prompt_ids, sequence)
                const wrong = gaps.findIndex((gap) => !(gap < tie))
                assert.ok(wrong < 0, `prompt ${i}, token ${wrong}: ${gaps[wrong]} below the largest logit`)
              }
          }),
        )
      })
    }
  }
  for (const check of pending) await check()
  suite.note(
    `a token counts as the reference's where its logit is the largest, or less than ${tie} below it; GGUF files are written by the suite`,
  )
}

const levels = '-O0, -O3 and one launch a step'

/** Tokens of each prompt: at -O3 replayed, at -O3 launch by launch (must be the same), as one launch a step, at -O0. */
async function generations(
  suite: Suite,
  device: SuiteDevice,
  path: string,
  prompts: readonly StoryRun[],
  quick: boolean,
): Promise<number[][][]> {
  const run = async (options: CompileOptions): Promise<number[][]> => {
    await using model = await compile(path, { ...options, device, onNote: (note) => suite.note(note) })
    const made: number[][] = []
    for (const { prompt, prompt_ids, token_ids } of prompts) {
      assert.deepEqual(model.tokenizer.encode(prompt), prompt_ids, 'tokens of the prompt')
      const { tokenIds } = await model
        .generate(prompt, { maxTokens: token_ids.length, temperature: 0, ignoreEos: true })
        .result()
      made.push([...tokenIds])
    }
    return made
  }
  const replayed = await run({ optLevel: 3 })
  const persistent = await run({ optLevel: 3, step: 'persistent' })
  if (quick) return [replayed, persistent]
  const launched = await run({ optLevel: 3, replay: false })
  assert.deepEqual(replayed, launched, 'tokens of a replayed graph and of plain launches')
  return [replayed, persistent, await run({ optLevel: 0 })]
}

/** Equal up to the first tie, behind which both may go on differently. */
function compareRuns(prompts: readonly StoryRun[], made: readonly (readonly number[])[]): void {
  for (const [i, { token_ids, top2_gap }] of prompts.entries()) {
    const at = token_ids.findIndex((token, step) => token !== made[i]![step])
    if (at < 0 || top2_gap[at]! < tie) continue
    assert.fail(`prompt ${i}, token ${at}: ${made[i]![at]}, the reference has ${token_ids[at]}, gap ${top2_gap[at]}`)
  }
}
