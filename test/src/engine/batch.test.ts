// Generations that run together, on a scripted stepper that works ahead as a device does: who shares a batch changes no text.
import { describe, expect, test } from 'vitest'
import { generate } from '../../../src/engine/generate.ts'
import { score } from '../../../src/engine/score.ts'
import { greedy } from '../../../src/engine/stepper.ts'
import fc from '../../fast-check.ts'
import { eos, type Run, run, sequencer, tokenOf, turn } from './ahead-stepper.ts'

const someRun = fc.record<Run>({
  prompt: fc.nat(1000),
  promptTokens: fc.integer({ min: 1, max: 11 }),
  maxTokens: fc.integer({ min: 0, max: 30 }),
  delay: fc.constantFrom(0, 0, 0, 1, 9),
  abortAfter: fc.option(fc.nat(12), { nil: undefined, freq: 6 }),
})

test('together every generation gives the text that it gives alone', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(someRun, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 11, max: 40 }),
      async (runs, maxBatch, pages) => {
        const s = sequencer(maxBatch, pages) // the longest takes 11
        const together = await Promise.all(runs.map((one) => run(s, one)))
        expect(s.pages.available).toBe(s.stepper.pages)
        for (const [i, one] of runs.entries()) {
          const alone = await run(sequencer(1, 16), one)
          expect({ ...together[i]!, timings: {} }).toEqual({ ...alone, timings: {} })
        }
      },
    ),
    { numRuns: 60 },
  ))

const someScore = fc.record({
  tokens: fc.array(fc.nat(255), { minLength: 1, maxLength: 44 }),
  all: fc.boolean(),
  abortAfter: fc.option(fc.nat(30), { nil: undefined, freq: 4 }), // turns of the event loop
})

test('generations and scores together: each gives what it gives alone, nobody waits for ever, aborts leave no trace', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(someRun, someScore), { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 11, max: 24 }),
      async (asked, maxBatch, pages) => {
        const s = sequencer(maxBatch, pages)
        const scored = async ({
          tokens,
          all,
          abortAfter,
        }: typeof someScore extends fc.Arbitrary<infer S> ? S : never) => {
          const controller = new AbortController()
          const result = score(s, tokens, { all, signal: controller.signal }).catch((error: unknown) => error)
          if (abortAfter !== undefined) {
            for (let i = 0; i < abortAfter; i++) await turn()
            controller.abort()
          }
          return [await result, controller.signal.reason]
        }
        const results = await Promise.all(asked.map((one) => ('tokens' in one ? scored(one) : run(s, one))))
        expect([s.pages.available, s.pages.waiting]).toEqual([pages, 0])
        for (const [i, one] of asked.entries()) {
          if (!('tokens' in one)) {
            expect(results[i]).toMatchObject({ tokenIds: (await run(sequencer(1, 16), one)).tokenIds })
            continue
          }
          const [got, reason] = results[i] as [unknown, unknown]
          const values = one.tokens.map((token) => token * 2)
          if (got !== reason || reason === undefined)
            expect(got).toEqual(Float32Array.from(one.all ? values : values.slice(-1)))
        }
      },
    ),
    { numRuns: 40 },
  ))

/** A prompt whose text never ends by itself. */
const endless = Array.from({ length: 1000 }, (_, prompt) => prompt).filter((prompt) =>
  Array.from({ length: 64 }, (_, position) => tokenOf(prompt, position)).every(
    (token) => token !== eos && token !== 77,
  ),
)
const plain = (i: number, more: Partial<Run> = {}): Run => ({
  prompt: endless[i]!,
  promptTokens: 3,
  maxTokens: 20,
  delay: 0,
  ...more,
})

describe('who runs with whom', () => {
  test('all that are there, as soon as their prompts are read', async () => {
    const s = sequencer(4, 64)
    await Promise.all([0, 1, 2].map((i) => run(s, plain(i))))
    expect(Math.max(...s.stepper.sizes)).toBe(3)
    expect(s.stepper.sizes.length).toBeLessThan(12)
  })

  test('who takes no tokens waits outside, and costs the others nothing', async () => {
    const s = sequencer(2, 32)
    const slow = generate(s, {
      promptIds: [1],
      maxTokens: 60,
      sampler: { ...greedy, seed: endless[0]! },
      ...{ stop: [], ignoreEos: true, continues: false },
    })
    await slow.next()
    await slow.next()
    const { tokenIds } = await run(s, plain(1, { maxTokens: 40 }))
    expect(tokenIds).toHaveLength(40)
    expect(s.stepper.sizes.at(-1)).toBe(1)
    await slow.return(undefined as never)
    expect(s.pages.available).toBe(32)
  })

  test('more than a batch holds take turns', async () => {
    const s = sequencer(2, 64)
    const results = await Promise.all([0, 1, 2, 3, 4].map((i) => run(s, plain(i))))
    expect(results.map(({ tokenIds }) => tokenIds.length)).toEqual([20, 20, 20, 20, 20])
  })

  test('more than pages hold wait, in order; an abort ends the wait', async () => {
    const s = sequencer(2, 6) // 23 tokens are 6 pages
    const order: number[] = []
    const controller = new AbortController()
    const waiting = generate(s, {
      promptIds: [1],
      maxTokens: 20,
      sampler: greedy,
      signal: controller.signal,
      ...{ stop: [], ignoreEos: true, continues: false },
    })
    const first = run(s, plain(0)).then(() => order.push(0))
    await turn()
    const aborted = waiting.next()
    const rest = [1, 2].map((i) => run(s, plain(i)).then(() => order.push(i)))
    controller.abort()
    expect((await aborted).value).toMatchObject({ reason: 'aborted', text: '' })
    await Promise.all([first, ...rest])
    expect(order).toEqual([0, 1, 2])
    await expect(run(s, plain(0, { maxTokens: 60 }))).rejects.toMatchObject({ code: 'kv-full' })
  })

  test('a device that fails ends all, and frees their pages', async () => {
    const s = sequencer(3, 48)
    s.stepper.fails = 5
    const results = await Promise.allSettled([0, 1, 2].map((i) => run(s, plain(i))))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(s.pages.available).toBe(48)
  })
})
