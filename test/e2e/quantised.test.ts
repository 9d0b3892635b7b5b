// Quantised GGUF files: the host, which dequantises inside its kernels, computes what the reference executor computes from
// the same weights, and so tells the same story.
import { afterAll, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import type { GgufFileType } from '../gguf-writer.ts'
import { randomGguf, type StoryName, storyGguf, storyRuns } from '../models.ts'
import { distance } from './steps.ts'

/** rows of story-3m are no whole blocks of 256, which K types need; random weights have rows of 256 and 512 */
const files: readonly (readonly [type: GgufFileType, name: StoryName | 'random weights'])[] = [
  ['Q8_0', 'story-3m'],
  ['Q4_0', 'story-3m'],
  ['Q4_1', 'story-3m'],
  ['Q5_0', 'story-3m'],
  ['Q5_1', 'story-3m'],
  ['Q6_K', 'random weights'],
  ['Q4_K_M', 'story-15m'],
  ['Q5_K_M', 'random weights'],
]
const wide = {
  hidden_size: 256,
  intermediate_size: 512,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  num_hidden_layers: 3,
}
const worst: string[] = []
afterAll(() => {
  console.log(
    ['logits on the host beside the reference executor, difference over the largest logit:', ...worst].join('\n'),
  )
})

test.each(files)('%s of %s', async (type, name) => {
  const random = name === 'random weights'
  const path = random ? randomGguf(wide, type) : storyGguf(name, type)
  const prompt = random ? Array.from({ length: 9 }, (_, i) => (i * 89 + 3) % 256) : storyRuns[name][1]!.prompt_ids
  await using host = await compile(path, { device: 'host', context: 64 })
  await using reference = await compile(path, { device: 'reference', context: 64 })
  const { tokenIds } = await host.generate({ tokens: prompt }, { maxTokens: 24, ignoreEos: true }).result()
  const tokens = [...prompt, ...tokenIds]
  const exact = await reference.logits(tokens, { all: true })
  const got = await host.logits(tokens, { all: true })
  const off = distance(got, exact)
  worst.push(`  ${off.toExponential(1)}  ${type}`)
  expect(off).toBeLessThan(2e-5)
  if (type === 'Q8_0' || type === 'Q4_K_M') {
    await using unfused = await compile(path, { device: 'host', optLevel: 0, context: 64 })
    expect(distance(await unfused.logits(tokens, { all: true }), exact)).toBeLessThan(2e-5)
  }
  const V = reference.tokenizer.vocabSize
  for (const [step, id] of tokenIds.entries()) {
    const row = exact.subarray((prompt.length - 1 + step) * V).subarray(0, V)
    expect(Math.max(...row) - row[id]!).toBeLessThan(1e-3) // the best, or as good as it
  }
})
