// What generating promises whatever the model: the same text for the same seed, chunk and page sizes that do not matter,
// generations that do not disturb each other, plain ends.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import type { Model } from '../../src/api/model.ts'
import type { CompileOptions } from '../../src/options.ts'
import { storyFolder, storyRuns } from '../models.ts'
import { distance } from './steps.ts'

const folder = storyFolder('story-3m')
const run = storyRuns['story-3m'][0]!
const tokens = [...run.prompt_ids, ...run.token_ids] // 74
const open = (options: CompileOptions = {}) => compile(folder, { device: 'host', context: 128, ...options })

let model: Model
beforeAll(async () => {
  model = await open()
})
afterAll(() => model.dispose())

const story = { maxTokens: 24, temperature: 0.8, topK: 50, topP: 0.95, seed: 11 }

describe('what must not matter', () => {
  test('chunk and page sizes', async () => {
    const expected = await model.logits(tokens)
    for (const options of [
      { chunk: 1 },
      { chunk: 7, pageSize: 4 },
      { chunk: 16, pageSize: 64 },
      { chunk: 64, pageSize: 1 },
    ]) {
      await using other = await open(options)
      expect(distance(await other.logits(tokens), expected), JSON.stringify(options)).toBeLessThan(1e-5)
      const { tokenIds } = await other.generate({ tokens: tokens.slice(0, 20) }, { maxTokens: 20 }).result()
      expect(tokenIds, JSON.stringify(options)).toEqual(tokens.slice(20, 40))
    }
  })

  test('replaying captured steps', async () => {
    await using plain = await open({ replay: false })
    for (const options of [{ maxTokens: 40 }, { ...story, maxTokens: 40, repeatPenalty: 1.3 }]) {
      const [a, b] = [
        await model.generate(run.prompt, options).result(),
        await plain.generate(run.prompt, options).result(),
      ]
      expect(b.tokenIds).toEqual(a.tokenIds)
    }
  })

  test('narrow caches and activations, beyond their rounding', async () => {
    const expected = await model.logits(tokens)
    const narrow: [options: CompileOptions, limit: number][] = [
      [{ kvDtype: 'f16' }, 5e-3],
      [{ kvDtype: 'bf16' }, 4e-2],
      [{ activations: 'f16', kvDtype: 'f16' }, 5e-3],
      [{ activations: 'bf16', kvDtype: 'bf16', optLevel: 0 }, 4e-2],
    ]
    for (const [options, limit] of narrow) {
      await using other = await open(options)
      const off = distance(await other.logits(tokens), expected)
      expect(off, JSON.stringify(options)).toBeLessThan(limit)
      expect(off, JSON.stringify(options)).toBeGreaterThan(0)
    }
  })

  test('other generations beside it', async () => {
    const calls = [
      () => model.generate(run.prompt, story),
      () => model.generate('One day the rabbit', { ...story, seed: 5 }),
      () => model.generate(run.prompt, { maxTokens: 24 }),
    ]
    const alone = []
    for (const call of calls) alone.push((await call().result()).tokenIds)
    const together = await Promise.all(calls.map((call) => call().result()))
    expect(together.map(({ tokenIds }) => tokenIds)).toEqual(alone)
    // and with scoring between their tokens
    const [generation, logits] = [calls[0]!(), await model.logits(tokens)]
    for await (const _ of generation) expect(await model.logits(tokens)).toEqual(logits)
    expect((await generation.result()).tokenIds).toEqual(alone[0])
  })
})

describe('seeds', () => {
  test('the same seed gives the same text, another one another', async () => {
    const texts = []
    for (const seed of [11, 11, 12]) texts.push(await model.generate(run.prompt, { ...story, seed }).text())
    expect(texts[1]).toBe(texts[0])
    expect(texts[2]).not.toBe(texts[0])
  })

  test('the reference executor draws the same text, fused or not', async () => {
    const expected = (await model.generate(run.prompt, { ...story, repeatPenalty: 1.2 }).result()).tokenIds
    for (const options of [{ device: 'reference' }, { optLevel: 0 }] as const) {
      await using other = await open(options)
      expect((await other.generate(run.prompt, { ...story, repeatPenalty: 1.2 }).result()).tokenIds).toEqual(expected)
    }
  })

  test('a seed is drawn, and told, where none is given', async () => {
    const first = await model.generate(run.prompt, { temperature: 1, maxTokens: 8 }).result()
    const again = await model.generate(run.prompt, { temperature: 1, maxTokens: 8, seed: first.seed }).result()
    expect(again.tokenIds).toEqual(first.tokenIds)
  })
})

describe('ends', () => {
  test('maxTokens, 0 included', async () => {
    expect(await model.generate(run.prompt, { maxTokens: 3 }).result()).toMatchObject({
      reason: 'length',
      tokenIds: run.token_ids.slice(0, 3),
    })
    expect(await model.generate(run.prompt, { maxTokens: 0 }).result()).toMatchObject({
      reason: 'length',
      tokenIds: [],
      text: '',
    })
  })

  test('a full context', async () => {
    await using small = await open({ context: 40, pageSize: 16 })
    const result = await small.generate(run.prompt, { maxTokens: 100 }).result()
    expect(result).toMatchObject({ reason: 'context' })
    expect(result.tokenIds).toEqual(run.token_ids.slice(0, 30)) // 10 of the prompt and 30 fill the 40
    await expect(small.generate({ tokens: Array(40).fill(5) }).result()).rejects.toMatchObject({ code: 'context-full' })
    await expect(small.logits(Array(41).fill(5))).rejects.toMatchObject({ code: 'context-full' })
    expect((await small.logits(tokens.slice(0, 40))).length).toBe(4096)
    expect((await small.generate(run.prompt, { maxTokens: 4 }).result()).tokenIds).toEqual(run.token_ids.slice(0, 4))
  })

  test('stop strings, over tokens and within them, never shown', async () => {
    for (const stop of [' small house', 'mall hou', '\n', 'best of all.\nO']) {
      const shown: string[] = []
      const generation = model.generate(run.prompt, { maxTokens: 64, stop })
      for await (const { text } of generation) shown.push(text)
      const result = await generation.result()
      expect(result.reason).toBe('stop')
      expect(result.text).toBe(run.text.slice(0, run.text.indexOf(stop)))
      expect(shown.join('')).toBe(result.text)
    }
    const several = await model.generate(run.prompt, { maxTokens: 64, stop: ['never said', 'lived', 'in a'] }).result()
    expect(several.text).toBe(run.text.slice(0, run.text.indexOf('lived')))
  })

  test('a token that ends texts', async () => {
    const V = model.tokenizer.vocabSize
    const eos = model.tokenizer.eosIds[0]!
    // the end of a story: find a seed whose text ends within the context
    for (let seed = 0; seed < 40; seed++) {
      const options = { temperature: 1.2, seed, maxTokens: 110 }
      const result = await model.generate(run.prompt, options).result()
      if (result.reason !== 'eos') continue
      const beyond = await model.generate(run.prompt, { ...options, ignoreEos: true }).result()
      expect(beyond.tokenIds[result.tokenIds.length]).toBe(eos)
      expect(beyond.tokenIds.length).toBeGreaterThan(result.tokenIds.length)
      expect(eos).toBeLessThan(V)
      return
    }
    throw new Error('no seed ended a story')
  })

  test('abort before, between tokens, and after', async () => {
    const before = await model.generate(run.prompt, { signal: AbortSignal.abort() }).result()
    expect(before).toMatchObject({ reason: 'aborted', tokenIds: [] })
    const controller = new AbortController()
    const generation = model.generate(run.prompt, { signal: controller.signal, maxTokens: 64 })
    let seen = 0
    for await (const _ of generation) if (++seen === 5) controller.abort()
    const result = await generation.result()
    expect(result.reason).toBe('aborted')
    expect(result.tokenIds).toEqual(run.token_ids.slice(0, 5))
    const late = new AbortController()
    const whole = await model.generate(run.prompt, { signal: late.signal, maxTokens: 5 }).result()
    late.abort()
    expect(whole.reason).toBe('length')
  })

  test('a loop that is left early frees its pages', async () => {
    for (let i = 0; i < 30; i++) {
      for await (const _ of model.generate(run.prompt, { maxTokens: 100 })) if (i % 3 < 2) break
      model.generate(run.prompt) // never started: holds nothing
    }
    const [a, b] = await Promise.all([1, 2].map((seed) => model.generate('Once', { maxTokens: 50, seed }).result()))
    expect(a!.tokenIds).toEqual(b!.tokenIds)
  })

  test('pages that others hold are waited for', async () => {
    const held = model.generate(run.prompt, { maxTokens: 100 })[Symbol.asyncIterator]()
    await held.next()
    let done = false
    const waiting = model.generate(run.prompt, { maxTokens: 100 }).result()
    const signal = AbortSignal.timeout(20)
    const given = model.logits(tokens.slice(0, 60), { signal })
    void waiting.then(() => {
      done = true
    })
    await expect(given).rejects.toMatchObject({ name: 'TimeoutError' })
    expect(done).toBe(false)
    await held.return(undefined)
    expect((await waiting).tokenIds.length).toBe(100)
  })

  test('twenty at once, of every kind', async () => {
    const alone = await model.logits(tokens.slice(0, 50))
    const options = { maxTokens: 60 }
    const all = await Promise.all(
      Array.from({ length: 20 }, async (_, i) =>
        i % 3 === 2 ? model.logits(tokens.slice(0, 50)) : (await model.generate(run.prompt, options).result()).tokenIds,
      ),
    )
    for (const [i, one] of all.entries()) expect(one).toEqual(i % 3 === 2 ? alone : run.token_ids.slice(0, 60))
  })
})

describe('prompts', () => {
  test('an empty one begins with bos; one without tokens is refused', async () => {
    const result = await model.generate('', { maxTokens: 4 }).result()
    expect(result.promptIds).toEqual([model.tokenizer.bosId])
    expect(result.tokenIds).toHaveLength(4)
    await expect(model.generate({ tokens: [] }).result()).rejects.toMatchObject({ code: 'empty-prompt' })
    for (const id of [-1, 4096, 1.5, Number.NaN])
      await expect(model.generate({ tokens: [1, id] }).result()).rejects.toMatchObject({ code: 'bad-token' })
    await expect(model.logits([])).rejects.toMatchObject({ code: 'bad-token' })
  })

  test('text comes in whole characters', async () => {
    const pieces: string[] = []
    const generation = model.generate('“Où est l’éléphant?” 🐘', { maxTokens: 40, temperature: 8, seed: 3 })
    for await (const { text } of generation) pieces.push(text)
    const { tokenIds, text } = await generation.result()
    expect(pieces.join('')).toBe(text)
    expect(text).toBe(model.tokenizer.decode(tokenIds, { continues: true }))
    for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u)
  })

  test('options outside their range are refused by name', () => {
    for (const options of [{ maxTokens: -1 }, { topP: 0 }, { temperature: -1 }, { seed: 2 ** 32 }, { nonsense: 1 }])
      expect(() => model.generate('x', options as never)).toThrowError(
        expect.objectContaining({ code: 'bad-option', message: expect.stringContaining(Object.keys(options)[0]!) }),
      )
  })
})

describe('logits', () => {
  test('all of them hold the last, and each prefix its own', async () => {
    const V = model.tokenizer.vocabSize
    const all = await model.logits(tokens.slice(0, 20), { all: true })
    expect(all.length).toBe(20 * V)
    for (const length of [1, 2, 13, 20]) {
      const one = await model.logits(tokens.slice(0, length))
      expect(distance(all.subarray((length - 1) * V, length * V), one)).toBeLessThan(1e-5)
    }
  })
})

describe('after dispose', () => {
  test('everything is refused plainly, twice is once', async () => {
    const other = await open()
    const [begun, generation] = [other.generate(run.prompt), other.generate(run.prompt)]
    const iterator = begun[Symbol.asyncIterator]()
    await iterator.next()
    const waiting = other.generate(run.prompt, { maxTokens: 100 }).result()
    await new Promise(setImmediate)
    await Promise.all([other.dispose(), other.dispose(), expect(waiting).rejects.toMatchObject({ code: 'disposed' })])
    await other.dispose()
    await expect(iterator.next()).rejects.toMatchObject({ code: 'disposed' })
    await expect(generation.result()).rejects.toMatchObject({ code: 'disposed' })
    await expect(other.logits([1])).rejects.toMatchObject({ code: 'disposed' })
    expect(other.graph.print()).toContain('graph @decode')
  })
})
