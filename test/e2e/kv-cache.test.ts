// Keys and values in 8 bits: a story is the reference's, token for token, up to a step where its best candidates are closer
// than 8 bits resolve; decode agrees with prefill on the same cache; the cache takes the memory that its rows say.
import { describe, expect, test } from 'vitest'
import { buffersOf } from '../../codegen/program.ts'
import { findTarget } from '../../codegen/targets.ts'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { compile } from '../../src/api/compile.ts'
import { ModelPlan } from '../../src/api/plan.ts'
import { openCheckpoint } from '../../src/loader/checkpoint.ts'
import { compileOptions, readOptions } from '../../src/options.ts'
import { storyFolder, storyRuns } from '../models.ts'
import { tinyStep } from '../tiny-step.ts'

/** Gap of the two best logits below which 8 bits may choose the other, by what a cache of the dtype moves logits. */
const gaps = { q8_0: 0.1, f8: 0.6 } as const
const runs = storyRuns['story-3m'].slice(0, 3)

describe.each(Object.entries(gaps))('a cache of %s', (name, gap) => {
  const kvDtype = name as keyof typeof gaps
  test('tells the stories of the reference', async () => {
    await using model = await compile(storyFolder('story-3m'), { device: 'host', kvDtype, context: 128 })
    for (const run of runs) {
      const { tokenIds } = await model.generate(run.prompt, { maxTokens: 48 }).result()
      const at = tokenIds.findIndex((id, i) => id !== run.token_ids[i])
      if (at >= 0) expect(run.top2_gap[at], `"${run.prompt}" parts at token ${at}`).toBeLessThan(gap)
    }
  })
  test('is read alike by steps of one token and of many, fused or not', async () => {
    const tokens = [...runs[0]!.prompt_ids, ...runs[0]!.token_ids].slice(0, 24)
    const logits = await Promise.all(
      ([0, 3] as const).map(async (optLevel) => {
        await using model = await compile(storyFolder('story-3m'), { device: 'host', optLevel, kvDtype, context: 64 })
        return await model.logits(tokens)
      }),
    )
    // a key on the edge between two steps may fall to either side
    const furthest = Math.max(...logits[0]!.map((v, i) => Math.abs(v - logits[1]![i]!)))
    expect(furthest).toBeLessThan(gap / 10)
  })
})

test('caches take the memory of their rows', async () => {
  await using checkpoint = await openCheckpoint(storyFolder('story-3m'))
  const states = (kvDtype: 'f16' | 'q8_0' | 'f8') => {
    const options = readOptions(compileOptions, { kvDtype, context: 128 })
    const plan = new ModelPlan(checkpoint, options, findTarget('gfx1100'))
    const caches = buffersOf(plan.program('decode'), 'state').filter(({ id }) => /^%[kv]_cache/.test(id))
    return caches.reduce((sum, { bytes }) => sum + bytes, 0)
  }
  expect(states('q8_0') / states('f16')).toBeCloseTo(34 / 64, 9)
  expect(states('f8') / states('f16')).toBeCloseTo(1 / 2, 9)
})

test('heads that are no whole blocks of 32 are refused', () => {
  expect(() => tinyStep({}, { kvDtype: 'q8_0' })).toThrow(Diagnostic)
  expect(() => tinyStep({}, { kvDtype: 'q8_0' })).toThrow('a q8_0 cache keeps blocks of 32 channels')
})
