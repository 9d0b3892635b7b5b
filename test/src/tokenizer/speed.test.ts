// Time linear in any text, and an event loop that turns meanwhile.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import { kinds } from './kinds.ts'
import { story, storyFolder } from './story.ts'

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-speed-'))
afterAll(() => rmSync(folder, { recursive: true }))

function tokenizer(file: unknown) {
  const tokenizerJson = join(folder, 'tokenizer.json')
  writeFileSync(tokenizerJson, JSON.stringify(file))
  return createTokenizer({ kind: 'huggingface', tokenizerJson })
}
const storyFile = JSON.parse(readFileSync(storyFolder('story-3m').tokenizerJson, 'utf8'))
const byteLevel = (more: object) => ({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, ...more })

test('a space before the text leaves characters beyond U+FFFF whole', () => {
  const spaced = tokenizer({ ...storyFile, pre_tokenizer: byteLevel({ add_prefix_space: true, use_regex: true }) })
  for (const text of ['I like 🍕 and 🍣.', 'a😀b', '😀😀', '👩🏽‍💻 x 𠮷']) {
    expect(spaced.decode(spaced.encode(text, { addBos: false }))).toBe(` ${text}`)
  }
})

describe('32 KB without a match of a Split that merges', () => {
  test.each([
    ['no space left', { String: ' ' }, { type: 'Replace', pattern: { String: ' ' }, content: '_' }],
    ['no end mark', { Regex: '[.!?]' }, null],
  ])('%s', (_, pattern, normalizer) => {
    const split = { type: 'Split', pattern, behavior: 'MergedWithPrevious', invert: false }
    const steps = [split, byteLevel({ use_regex: false })]
    const { encode } = tokenizer({
      ...storyFile,
      normalizer,
      pre_tokenizer: { type: 'Sequence', pretokenizers: steps },
    })
    quickly(() => encode('word '.repeat(6400)))
  })
})

describe('64 KB of one kind', () => {
  test.each(
    kinds.filter(([name]) => /^(byte-level BPE|BPE|Word|Unigram|Split.*(Next|Contig)|Precomp|Unicode)/.test(name)),
  )('%s', (_, file) => {
    const { encode } = tokenizer(file)
    for (const unit of ['a', ' ', 'ab', '🦊', 'e\u0301', '<s>']) {
      quickly(() => encode(unit.repeat(65_536 / unit.length), { parseSpecial: true }))
    }
  })
})

test('megabytes are encoded in slices between which the event loop turns', async () => {
  const text = 'Once upon a time '.repeat(60_000) + 'a'.repeat(1_200_000) + '🦊'.repeat(150_000)
  let turns = 0
  let done = false
  const turn = () => {
    turns++
    if (!done) setImmediate(turn)
  }
  setImmediate(turn)
  const ids = await story.encodeAsync(text)
  done = true
  expect(turns).toBeGreaterThan(10)
  expect(ids).toEqual(story.encode(text))
  expect(await story.encodeSegmentsAsync([text, 2, 'a'], { addBos: false })).toEqual(
    story.encodeSegments([text, 2, 'a'], { addBos: false }),
  )
})

/** What takes the square of its time takes a minute. */
function quickly(run: () => unknown): void {
  const start = performance.now()
  run()
  expect(performance.now() - start).toBeLessThan(3000)
}
