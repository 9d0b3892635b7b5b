// Names of weights as wrappers and savers of base models write them.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { basePrefix, withUsualPrefix } from '../../../src/loader/weight-names.ts'
import { lowerStep } from '../../../src/models/index.ts'
import type { HfConfig } from '../../gguf-writer.ts'
import { writeRandomHf } from '../../hf-writer.ts'
import { scratchFolder } from './fixtures.ts'

const root = scratchFolder()
let count = 0
/** A random model whose tensors are renamed; undefined leaves one out. */
function renamed(rename: (name: string) => string | undefined, config: Partial<HfConfig> = {}): string {
  const folder = join(root, String(++count))
  writeRandomHf(folder, config)
  const file = join(folder, 'model.safetensors')
  const bytes = readFileSync(file)
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  const header = Object.entries<{ data_offsets: [number, number] }>(JSON.parse(bytes.toString('utf8', 8, end)))
  const json: Record<string, unknown> = {}
  const data: Buffer[] = []
  let place = 0
  for (const [name, described] of header) {
    const called = rename(name)
    if (called === undefined) continue
    const [from, to] = described.data_offsets
    json[called] = { ...described, data_offsets: [place, place + to - from] }
    data.push(bytes.subarray(end + from, end + to))
    place += to - from
  }
  const text = Buffer.from(JSON.stringify(json))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  writeFileSync(file, Buffer.concat([length, text, ...data]))
  return folder
}

const options = { result: 'logits', activations: 'f32', kvDtype: 'f32', pageSize: 16 } as const
/** Lowers the model, which asks for every weight; its notes. */
async function notesOf(path: string): Promise<readonly string[]> {
  await using checkpoint = await openCheckpoint(path)
  lowerStep(checkpoint.config, checkpoint.weights, options)
  return checkpoint.notes
}

describe.each([true, false])('tied embeddings: %s', (tied) => {
  const config = { tie_word_embeddings: tied }
  test.each(['', 'model.', 'language_model.model.', 'model.language_model.', 'transformer.', 'any.thing.'])(
    'the prefix %j',
    async (prefix) => {
      const path = renamed((name) => name.replace(/^model\./, prefix), config)
      expect(await notesOf(path)).toHaveLength(prefix === '' || prefix === 'model.' ? 0 : 1)
    },
  )
  test('a head inside of the wrapper', async () => {
    expect(await notesOf(renamed((name) => `language_model.${name}`, config))).toHaveLength(1)
  })
})

test('one prefix among several: the usual one', () => {
  const embedding = (prefix: string) => `${prefix}embed_tokens.weight`
  expect(basePrefix([embedding('encoder.'), embedding('model.')])).toBe('model.')
  expect(basePrefix([embedding('encoder.'), embedding('decoder.')])).toBeUndefined()
  expect(basePrefix(['lm_head.weight'])).toBeUndefined()
  expect(basePrefix(['my_embed_tokens.weight'])).toBeUndefined()
  expect(withUsualPrefix('visual.blocks.0.weight', 'model.language_model.')).toBe('visual.blocks.0.weight')
})

test('weights under names that tell nothing are missing, and the message says what there is', async () => {
  const path = renamed((name) => name.replace('model.embed_tokens', 'word_table').replace('model.layers', 'h'))
  await expect(notesOf(path)).rejects.toThrow(/missing-weight[\s\S]*token_embd.weight[\s\S]*there +word_table\.weight/)
})

describe('what a configuration promises', () => {
  const biased = { model_type: 'qwen2' }
  test.each<[what: string, drop: RegExp, config: Partial<HfConfig>, missing: string]>([
    ['a head', /^lm_head/, { tie_word_embeddings: false }, 'output.weight'],
    ['a bias of one layer', /layers\.1\.self_attn\.k_proj\.bias/, biased, 'blk.1.attn_k.bias'],
    ['all biases', /bias$/, biased, 'blk.0.attn_q.bias'],
    ['biases, by attention_bias', /bias$/, { attention_bias: true }, 'blk.1.attn_v.bias'],
    ['norms of heads', /q_norm/, { model_type: 'qwen3' }, 'blk.0.attn_q_norm.weight'],
    ['a layer', /layers\.1\./, {}, 'blk.1.attn_norm.weight'],
  ])('%s that is not there', async (_, drop, config, missing) => {
    const path = renamed((name) => (drop.test(name) ? undefined : name), config)
    await expect(notesOf(path)).rejects.toMatchObject({
      code: 'missing-weight',
      message: expect.stringContaining(missing),
    })
  })
  test('fewer layers than there are is said', async () => {
    const path = renamed((name) => name)
    const file = join(path, 'config.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace('"num_hidden_layers": 2', '"num_hidden_layers": 1'))
    expect(await notesOf(path)).toEqual([
      'the weights have 2 layers, the configuration says 1: the others are not used',
    ])
  })
})
