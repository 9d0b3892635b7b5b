// The bundled models tell, token for token, what transformers tells in float32: from both file formats, fused and not, on
// the reference executor, the host, and the host as it emulates a GPU.
import { afterAll, describe, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import type { Model } from '../../src/api/model.ts'
import { type StoryName, type StoryRun, storyFolder, storyGguf, storyNames, storyRuns } from '../models.ts'
import { shippedCompiler } from '../test-compiler.ts'

shippedCompiler()

/** Logits of two implementations in float32 differ by about a thousandth: closer candidates may change places. */
const nearTie = 2e-3
const notes: string[] = []
afterAll(() => {
  if (notes.length) console.log(notes.join('\n'))
})

/** Tokens must be those of the run, or part from it where its two best logits were as good as equal. */
function expectTokens(run: StoryRun, got: readonly number[], count: number, where: string): void {
  const expected = run.token_ids.slice(0, count)
  const at = expected.findIndex((id, i) => got[i] !== id)
  if (at >= 0 && run.top2_gap[at]! < nearTie) {
    notes.push(
      `${where}, "${run.prompt}": parts at token ${at}, where the two best logits are ${run.top2_gap[at]} apart`,
    )
    expect(got.slice(0, at)).toEqual(expected.slice(0, at))
  } else expect(got).toEqual(expected)
}

const formats = { HF: storyFolder, F16: (name: StoryName) => storyGguf(name, 'F16') } as const

interface Setting {
  readonly device: string
  readonly optLevel: 0 | 3
  readonly tokens: number
  readonly runs: number
  /** default: both; what does not depend on the file's format takes one of them */
  readonly format?: keyof typeof formats
}
const settings: Record<StoryName, readonly Setting[]> = {
  'story-3m': [
    { device: 'host', optLevel: 0, tokens: 64, runs: 5 },
    { device: 'host', optLevel: 3, tokens: 64, runs: 5 },
    { device: 'host-wave32', optLevel: 3, tokens: 8, runs: 1, format: 'F16' },
    { device: 'host-wave64', optLevel: 3, tokens: 8, runs: 1, format: 'HF' },
    { device: 'reference', optLevel: 0, tokens: 32, runs: 1, format: 'HF' },
    { device: 'reference', optLevel: 3, tokens: 32, runs: 2, format: 'F16' },
  ],
  'story-15m': [
    { device: 'host', optLevel: 0, tokens: 64, runs: 5, format: 'HF' },
    { device: 'host', optLevel: 3, tokens: 64, runs: 5 },
    { device: 'reference', optLevel: 0, tokens: 8, runs: 1, format: 'HF' },
    { device: 'reference', optLevel: 3, tokens: 16, runs: 1, format: 'F16' },
  ],
}

/** device and how many runs; the reference executor takes the larger model too slowly to learn anything new */
const logitSettings = {
  'story-3m': [
    ['host', 5],
    ['reference', 1],
  ],
  'story-15m': [['host', 5]],
} as const

for (const name of storyNames) {
  describe.each(Object.entries(formats))(`${name} from %s`, (format, path) => {
    test.each(
      settings[name]
        .filter((one) => (one.format ?? format) === format)
        .map((one) => [`${one.device} -O${one.optLevel}, ${one.runs} × ${one.tokens} tokens`, one] as const),
    )('%s', async (_, { device, optLevel, tokens, runs }) => {
      await using model = await compile(path(name), { device, optLevel, context: 128 })
      for (const run of storyRuns[name].slice(0, runs)) {
        expect(model.tokenizer.encode(run.prompt)).toEqual(run.prompt_ids)
        const result = await model.generate(run.prompt, { maxTokens: tokens }).result()
        expectTokens(run, result.tokenIds, tokens, `${name} ${format} ${device} -O${optLevel}`)
        if (tokens === 64 && result.tokenIds.every((id, i) => id === run.token_ids[i]))
          expect(result.text).toBe(run.text)
      }
    })
  })

  test.each(logitSettings[name])(`${name}: logits beside transformers, %s`, async (device, runs) => {
    await using model = await compile(storyFolder(name), { device, context: 128 })
    for (const run of storyRuns[name].slice(0, runs)) expect(await furthest(model, run)).toBeLessThan(nearTie)
  })
}

/** Largest difference of a logit that the run holds: first steps, last step. */
async function furthest(model: Model, run: StoryRun): Promise<number> {
  const tokens = [...run.prompt_ids, ...run.token_ids]
  const V = model.tokenizer.vocabSize
  const all = await model.logits(tokens, { all: true })
  expect(all.length).toBe(tokens.length * V)
  const rows = run.top5_first_steps.map((best, step) => ({ best, at: run.prompt_ids.length - 1 + step }))
  rows.push({ best: run.last_top10, at: tokens.length - 1 })
  return Math.max(...rows.flatMap(({ best, at }) => best.map(([id, logit]) => Math.abs(all[at * V + id]! - logit))))
}
