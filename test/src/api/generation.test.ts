// The face of one generation: pieces, or the whole, in any order of asking.
import { expect, test } from 'vitest'
import { Generation } from '../../../src/api/generation.ts'
import type { GeneratedPiece, GenerationResult } from '../../../src/engine/generate.ts'

const whole = { text: 'abc', tokenIds: [1, 2, 3] } as unknown as GenerationResult

function generation(fails = false) {
  const seen = { started: 0, closed: 0 }
  async function* run(): AsyncGenerator<GeneratedPiece, GenerationResult> {
    try {
      for (const [i, text] of ['a', 'b', 'c'].entries()) {
        if (fails && i === 2) throw new Error('no more')
        yield { id: i + 1, text }
      }
      return whole
    } finally {
      seen.closed++
    }
  }
  const made = new Generation('', async () => {
    seen.started++
    return run()
  })
  return { made, seen }
}

test('nothing runs before it is asked for; it runs once', async () => {
  const { made, seen } = generation()
  expect(seen.started).toBe(0)
  expect(await made.text()).toBe('abc')
  expect(await made.result()).toBe(whole)
  expect(seen).toEqual({ started: 1, closed: 1 })
})

test('pieces first, then the result', async () => {
  const { made } = generation()
  const pieces = []
  for await (const { text } of made) pieces.push(text)
  expect(pieces).toEqual(['a', 'b', 'c'])
  expect(await made.result()).toBe(whole)
})

test('pieces that nobody took are part of the result', async () => {
  const { made } = generation()
  expect((await made[Symbol.asyncIterator]().next()).value).toEqual({ id: 1, text: 'a' })
  expect(await made.text()).toBe('abc')
})

test('a loop that is left ends the generation; it has no result then, and says so', async () => {
  const { made, seen } = generation()
  for await (const _ of made) break
  expect(seen.closed).toBe(1)
  await expect(made.result()).rejects.toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[left-early]: a generation that was left before its end has no result
      help: end it with an AbortSignal instead, which gives the result so far]
  `)
})

test('a failure is told to everyone who asks', async () => {
  const { made } = generation(true)
  await expect(made.text()).rejects.toThrow('no more')
  await expect(made.result()).rejects.toThrow('no more')
})
