// Logits that are no numbers, and tokens that the embedding lacks: an error that names step or token, never a text made of
// nothing and never a read beyond a buffer. On CPU and reference.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { compile } from '../../src/api/compile.ts'
import { writeRandomHf } from '../hf-writer.ts'

const scratch = mkdtempSync(join(tmpdir(), 'rocmforge-numbers-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** A small model of random f16 weights with a head of its own, whose files `edit` may change. */
function variant(name: string, edit: (folder: string) => void): string {
  const folder = join(scratch, name)
  writeRandomHf(folder, { tie_word_embeddings: false }, { dtype: 'F16' })
  edit(folder)
  return folder
}

/** f16 elements of a weight become NaN, from `first` on. */
function damaged(weight: string, first = 0, count = Number.POSITIVE_INFINITY): string {
  return variant(`${weight} ${first}`, (folder) => {
    const file = join(folder, 'model.safetensors')
    const bytes = readFileSync(file)
    const end = 8 + Number(bytes.readBigUInt64LE(0))
    const [from, to] = JSON.parse(bytes.toString('utf8', 8, end))[weight].data_offsets
    const start = end + from + 2 * first
    for (let at = start; at < Math.min(end + to, start + 2 * count); at += 2) bytes.writeUInt16LE(0x7e00, at)
    writeFileSync(file, bytes)
  })
}

const failure = (promise: Promise<unknown>): Promise<{ code?: string; message: string }> =>
  promise.then(
    () => expect.fail('went on'),
    (error) => error,
  )

const prompt = { tokens: [1, 70, 71] }
const greedy = { maxTokens: 4, ignoreEos: true }

describe.each(['host', 'reference'])('logits, on %s', (device) => {
  test.each([
    ['all of them', damaged('model.norm.weight')],
    ['one of them', damaged('lm_head.weight', 300 * 64, 1)],
  ])('%s NaN: the first step, greedy and sampled', async (_, folder) => {
    await using model = await compile(folder, { device, context: 64 })
    for (const options of [{}, { temperature: 0.8, seed: 1 }, { temperature: 0.8, topK: 5, repeatPenalty: 1.2 }]) {
      const error = await failure(model.generate(prompt, { ...greedy, ...options }).result())
      expect(error.code).toBe('bad-logits')
      expect(error.message).toContain('step 1 of the generation')
      expect(error.message).toContain('position 3 of the sequence, the first behind the prompt')
    }
  })

  test('in a later step, of one sequence of a batch: the other goes on', async () => {
    await using whole = await compile(
      variant('whole', () => {}),
      { device, context: 64 },
    )
    const right = await whole.generate(prompt, greedy).result()
    // the embedding of token 300 is NaN: whoever draws it has no next step
    await using model = await compile(damaged('model.embed_tokens.weight', 300 * 64, 64), {
      ...{ device, context: 64, maxBatch: 2 },
    })
    const [error, other] = await Promise.all([
      failure(model.generate(prompt, { ...greedy, logitBias: { 300: 100 } }).result()),
      model.generate(prompt, greedy).result(),
    ])
    expect(error.code).toBe('bad-logits')
    expect(error.message).toContain('step 2 of the generation')
    expect(other.tokenIds).toEqual(right.tokenIds)
    expect((await model.generate(prompt, greedy).result()).tokenIds).toEqual(right.tokenIds) // its pages are clean for others
  })
})

describe('tokens beyond the embedding', () => {
  const folder = variant('tokens', (dir) => {
    const file = join(dir, 'tokenizer.json')
    const json = JSON.parse(readFileSync(file, 'utf8'))
    const token = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false }
    json.added_tokens.push({ id: 320, content: '[PAD]', ...token }, { id: 5320, content: '<tool>\u001b[2J', ...token })
    writeFileSync(file, JSON.stringify(json))
  })
  test.each(['host', 'reference'])('are told on %s, wherever they come in', async (device) => {
    await using model = await compile(folder, { device, context: 64 })
    const said = [
      await failure(model.logits([1, 5320])),
      await failure(model.logits([1, 320], { all: true })),
      await failure(model.generate({ tokens: [1, 320] }, { maxTokens: 2 }).text()),
      await failure(model.generate('a [PAD] b', { maxTokens: 2 }).text()),
    ]
    for (const error of said) {
      expect(error.code).toBe('bad-token')
      expect(error.message).toMatch(/token (320|5320) is beyond the 320 rows of the embedding/)
    }
    expect(said[3]!.message).toContain('[PAD]')
    await expect(model.logits([1, -1])).rejects.toMatchObject({ code: 'bad-token' })
  })
})
