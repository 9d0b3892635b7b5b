// Sampling defaults that are odd: the model loads, and what was left out is said.
import { expect, test } from 'vitest'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { writeRandomHf } from '../../hf-writer.ts'
import { put, scratchFolder } from './fixtures.ts'

const folder = scratchFolder()
writeRandomHf(folder) // eos 2 in config.json, 320 tokens

test.each<[text: string, generation: object, notes: string[]]>([
  ['{"eos_token_id": 7, "top_k": 40, "min_p": null}', { topK: 40, eos: [2, 7] }, []],
  ['{"eos_token_id": 2, "top_k": -1}', { topK: undefined, eos: [2] }, []],
  ['{"top_k": "all", "temperature": 0.5}', { topK: undefined, temperature: 0.5 }, []],
  [
    '{"eos_token_id": [7,], "temperature": 0.7,}',
    { temperature: 0.7, eos: [2, 7] },
    ['generation_config.json has a comma behind its last value: it is passed over'],
  ],
  ['{"temperature": 0.7,,}', { temperature: undefined }, ['generation_config.json is ignored: the JSON is malformed']],
  ['', { eos: [2] }, ['generation_config.json is empty: the model is used without sampling defaults']],
  [' \n', { eos: [2] }, ['generation_config.json is empty: the model is used without sampling defaults']],
  ['[1]', { eos: [2] }, ['generation_config.json is ignored: the JSON must be an object']],
  ['\xff', { eos: [2] }, ['generation_config.json is ignored: the JSON is not valid UTF-8']],
  [
    '{"eos_token_id": [-1, 320, 3.5, "</s>", 9]}',
    { eos: [2, 9] },
    [-1, 320, 3.5, '"</s>"'].map(
      (id) => `generation_config.json: eos_token_id ${id} is ignored, expected a token of the vocabulary of 320`,
    ),
  ],
  [
    '{"top_p": 1.5, "min_p": -0.1, "repetition_penalty": 0.0, "temperature": NaN, "do_sample": "yes", "top_k": 0.5}',
    { topP: undefined, minP: undefined, repetitionPenalty: undefined, doSample: undefined },
    [
      'do_sample "yes" is ignored, expected true or false',
      'temperature NaN is ignored, expected a number from 0 to 1000',
      'top_k 0.5 is ignored, expected a whole number from 0',
      'top_p 1.5 is ignored, expected a number from 0 to 1',
      'min_p -0.1 is ignored, expected a number from 0 to 1',
      'repetition_penalty 0 is ignored, expected a number above 0, up to 100',
    ].map((note) => `generation_config.json: ${note}`),
  ],
])('%s', async (text, generation, notes) => {
  put(folder, 'generation_config.json', text === '\xff' ? Uint8Array.of(0xff) : text)
  await using checkpoint = await openCheckpoint(folder)
  expect(checkpoint.generation).toMatchObject(generation)
  expect(checkpoint.notes).toEqual(notes)
})

test('a note shows hidden characters of the file as escapes, and is cut', async () => {
  put(folder, 'generation_config.json', JSON.stringify({ temperature: `\u009b31m\u202e${'x'.repeat(1e5)}` }))
  await using checkpoint = await openCheckpoint(folder)
  const [note] = checkpoint.notes
  expect(note).toMatch(/^generation_config\.json: temperature "\\u009b31m\\u202ex+ is ignored/)
  expect(note!.length).toBeLessThan(200)
})

test('a damaged special_tokens_map.json is no loss', async () => {
  put(folder, 'generation_config.json', '{}')
  put(folder, 'special_tokens_map.json', '{')
  await using checkpoint = await openCheckpoint(folder)
  expect(checkpoint.notes).toEqual(['special_tokens_map.json is ignored: the JSON is malformed'])
})
