// Files of every kind give what the original library gives: ids with and without the ends, text with and without special
// tokens, whole and streamed.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import { texts } from './kind-models.ts'
import { kinds } from './kinds.ts'
import { original } from './original.ts'

const folder = mkdtempSync(join(tmpdir(), 'rocmforge-original-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Parts of the texts, put together anew: the same on every run. */
const mixed = (() => {
  const parts = texts
    .flatMap((text) => text.split(/(?<= )/))
    .filter((part) => part.length < 30 && !/\p{Surrogate}/u.test(part))
  let seed = 1
  const next = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  return Array.from({ length: 12 }, () => Array.from({ length: 1 + next(9) }, () => parts[next(parts.length)]).join(''))
})()

test.each(kinds)('%s', async (name, file) => {
  const json = JSON.stringify(file)
  const tokenizerJson = join(folder, `${name.replace(/\W/g, '-')}.json`)
  writeFileSync(tokenizerJson, json)
  const ours = createTokenizer({ kind: 'huggingface', tokenizerJson })
  const theirs = original.Tokenizer.fromString(json)
  for (const text of [...texts, ...mixed]) {
    const whole = (await theirs.encode(text, null, { addSpecialTokens: true })).getIds()
    const bare = (await theirs.encode(text, null, { addSpecialTokens: false })).getIds()
    expect({ text, ids: ours.encode(text, { parseSpecial: true }) }).toEqual({ text, ids: whole })
    expect({ text, ids: ours.encode(text, { parseSpecial: true, addBos: false }) }).toEqual({ text, ids: bare })
    if (whole.length === 0) continue // of no tokens the original cannot decode every kind
    for (const special of [true, false]) {
      expect({ text, special, back: ours.decode(whole, { special }) }).toEqual({
        text,
        special,
        back: await theirs.decode(whole, !special),
      })
    }
    const back = ours.decode(whole)
    if (back.includes('\ufffd')) continue // of a run of bytes that is no text, a stream has shown the beginning
    const stream = ours.streamDecoder()
    const streamed = whole.map((id) => stream.push(id)).join('') + stream.end()
    expect({ text, streamed }).toEqual({ text, streamed: back })
  }
})
