// What the options of the sampler do to a text, whatever draws: fused kernels, single ops, the reference executor; and to
// prompts, which frequency and presence do not count.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import type { Model } from '../../src/api/model.ts'
import type { GenerateOptions } from '../../src/options.ts'
import { storyFolder, storyRuns } from '../models.ts'

const folder = storyFolder('story-3m')
const { prompt, prompt_ids: promptIds } = storyRuns['story-3m'][0]!

const models: Record<string, Model> = {}
beforeAll(async () => {
  models.fused = await compile(folder, { device: 'host', context: 128 })
  models.single = await compile(folder, { device: 'host', context: 128, optLevel: 0 })
  models.reference = await compile(folder, { device: 'reference', context: 128 })
})
afterAll(async () => {
  for (const model of Object.values(models)) await model.dispose()
})

const tokensOf = async (options: GenerateOptions, model = models.fused!) =>
  (await model.generate(prompt, { maxTokens: 16, ...options }).result()).tokenIds
/** A token that greedy decoding takes several times: the full stop, most likely. */
const likely = async () => {
  const tokens = await tokensOf({})
  return tokens.find((id, i) => tokens.indexOf(id) !== i)!
}
const times = (tokens: readonly number[], id: number) => tokens.filter((token) => token === id).length

const settings: readonly GenerateOptions[] = [
  { temperature: 1, seed: 3 },
  { temperature: 1.3, seed: 4, topK: 40, topP: 0.9, repeatPenalty: 1.2, repeatLastN: 8 },
  { temperature: 0.9, seed: 5, minP: 0.05, frequencyPenalty: 0.8, presencePenalty: 0.4 },
  { temperature: 2, seed: 6, topP: 0.95, logitBias: { 7: 3.5, 300: -100, 12: 2 }, repeatPenalty: 1.1, repeatLastN: -1 },
  { frequencyPenalty: 1.5, presencePenalty: -0.5, logitBias: { 4095: 1 }, repeatPenalty: 1.4, repeatLastN: 0 },
]
test.each(settings)('fused kernels, single ops and the reference draw the same: %o', async (options) => {
  const expected = await tokensOf({ ...options, ignoreEos: true })
  expect(expected).toHaveLength(16)
  for (const model of [models.single!, models.reference!])
    expect(await tokensOf({ ...options, ignoreEos: true }, model)).toEqual(expected)
})

describe('one by one', () => {
  test('a bias of -100 bans a token, one of 100 repeats it', async () => {
    const id = await likely()
    expect(times(await tokensOf({ logitBias: { [id]: -100 } }), id)).toBe(0)
    expect(await tokensOf({ logitBias: { [id]: 100 }, maxTokens: 5, ignoreEos: true })).toEqual([id, id, id, id, id])
  })

  test('a token comes less often the more its repetition costs', async () => {
    const id = await likely()
    const plain = times(await tokensOf({ maxTokens: 60 }), id)
    expect(times(await tokensOf({ maxTokens: 60, frequencyPenalty: 2 }), id)).toBeLessThan(plain)
    const repeated = await tokensOf({ logitBias: { [id]: 100 }, frequencyPenalty: 2, maxTokens: 60, ignoreEos: true })
    expect(times(repeated, id)).toBeGreaterThan(30) // 100 - 2n stays ahead for long
    expect(times(repeated, id)).toBeLessThan(60)
  })

  test('frequency and presence do not count the prompt, repeatPenalty does', async () => {
    const [first] = await tokensOf({ maxTokens: 1 })
    expect(await tokensOf({ maxTokens: 1, frequencyPenalty: 2, presencePenalty: 2 })).toEqual([first])
    const asPrompt = { tokens: [...promptIds, first!, ...promptIds] }
    const logits = await models.fused!.logits(asPrompt.tokens)
    const best = logits.indexOf(Math.max(...logits))
    const call = (options: GenerateOptions) => models.fused!.generate(asPrompt, { maxTokens: 1, ...options }).result()
    expect((await call({ presencePenalty: 2, frequencyPenalty: 2 })).tokenIds).toEqual([best])
    expect((await call({ repeatPenalty: 100, repeatLastN: -1 })).tokenIds).not.toEqual([best])
    expect((await call({ repeatPenalty: 100, repeatLastN: 0 })).tokenIds).toEqual([best])
  })

  test('the penalties follow prompts longer than a step', async () => {
    await using chunked = await compile(folder, { device: 'host', context: 128, chunk: 3, pageSize: 4 })
    const options = { temperature: 1, seed: 9, repeatPenalty: 1.3, repeatLastN: 5, presencePenalty: 1 }
    expect(await tokensOf(options, chunked)).toEqual(await tokensOf(options))
  })
})

describe('refused', () => {
  test.each([
    [{ logitBias: { 4096: 1 } }, 'bad-token', /token 4096 is outside the vocabulary of 4096/],
    [{ logitBias: { x: 1 } }, 'bad-option', /logitBias/],
    [{ logitBias: { '-1': 1 } }, 'bad-option', /logitBias/],
    [{ logitBias: { 5: 101 } }, 'bad-option', /logitBias\.5/],
    [{ logitBias: { 5: Number.NaN } }, 'bad-option', /logitBias\.5/],
    [{ logitBias: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [i, 1])) }, 'bad-option', /at most 256/],
    [{ frequencyPenalty: 2.5 }, 'bad-option', /frequencyPenalty/],
    [{ presencePenalty: Number.POSITIVE_INFINITY }, 'bad-option', /presencePenalty/],
    [{ repeatLastN: -2 }, 'bad-option', /repeatLastN/],
    [{ repeatLastN: 1.5 }, 'bad-option', /repeatLastN/],
  ] as [GenerateOptions, string, RegExp][])('%o', async (options, code, message) => {
    const refused = async () => models.fused!.generate(prompt, options).result()
    await expect(refused()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })
})
