// Several sequences in one decode step: each gets the tokens that it gets alone, whatever shares its batch. Kernels of other
// batch sizes may sum in another order: the tokens are the same because this model's best two logits are never near.
import { afterAll, describe, expect, test } from 'vitest'
import { compile, compileParts } from '../../src/api/compile.ts'
import { type ModelParts, releaseAll } from '../../src/api/model.ts'
import { greedy, type StepInput } from '../../src/engine/stepper.ts'
import type { GenerateOptions } from '../../src/options.ts'
import { storyFolder, storyRuns } from '../models.ts'

const runs = storyRuns['story-3m']

describe.each(['reference', 'host', 'host-wave32', 'host-wave64'])('%s', (device) => {
  const sizes = device.startsWith('host-') ? [3] : [1, 2, 5] // emulated waves take a second a step
  let parts: Promise<ModelParts> | undefined
  const opened = () => {
    parts ??= compileParts(storyFolder('story-3m'), { device, context: 64, maxBatch: Math.max(...sizes) })
    return parts
  }
  afterAll(async () => parts && releaseAll((await parts).owned))

  test.each(sizes)('%i sequences', async (sequences) => {
    const { stepper, plan } = await opened()
    const tokens = device === 'host' ? 24 : 4
    const starts: StepInput[] = []
    const expected: (readonly number[])[] = []
    for (let i = 0; i < sequences; i++) {
      const { prompt_ids, token_ids } = runs[i % runs.length]!
      const cut = i // sequences of different lengths
      const prompt = [...prompt_ids, ...token_ids.slice(0, cut)]
      const first = i * plan.pagesPerRequest
      const pages = Array.from({ length: plan.pagesPerRequest }, (_, page) => first + page)
      const token = await stepper.sample({ tokens: prompt, position: 0, pages, sampler: greedy })
      starts.push({ tokens: [token], position: prompt.length, pages, sampler: greedy })
      expected.push(token_ids.slice(cut, cut + tokens))
    }
    const got = starts.map(({ tokens: [token] }) => [token!])
    const decoding = stepper.decodeBatch(starts, tokens)
    while (got[0]!.length < tokens) for (const [i, token] of (await decoding.next()).entries()) got[i]!.push(token)
    await decoding.stop()
    expect(got).toEqual(expected)
  })
})

describe.each(['host', 'host-wave32'])('%s: generations at the same time', (device) => {
  test('give the texts that they give one after the other', async () => {
    const requests: [prompt: string, options: GenerateOptions][] = [
      ['Once upon a time', { maxTokens: 20 }],
      ['The little dog', { maxTokens: 7 }],
      ['Tom and Lily', { maxTokens: 20, temperature: 0.8, seed: 5 }],
      ['One day, a bird', { maxTokens: 20, stop: ['the'] }],
      ['Sara had a', { maxTokens: 13, temperature: 1, topK: 20, seed: 9 }],
    ]
    const some =
      device === 'host' ? requests : requests.slice(1, 3).map(([p, o]) => [p, { ...o, maxTokens: 4 }] as const)
    const compiled = { total: 0 }
    const onKernels = ({ total }: { readonly total: number }): void => {
      compiled.total += total
    }
    await using model = await compile(storyFolder('story-3m'), { device, context: 64, maxBatch: 3, onKernels })
    const before = compiled.total
    const together = await Promise.all(some.map(([prompt, options]) => model.generate(prompt, options).text()))
    for (const [i, [prompt, options]] of some.entries())
      expect(together[i]).toBe(await model.generate(prompt, options).text())
    expect(compiled.total, 'nothing is compiled when a batch is first needed').toBe(before)
  })
})
