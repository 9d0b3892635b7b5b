// Every rule of the safetensors reader and of shard indexes, each with a file that breaks it.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { requireWeight } from '../../../src/loader/weight-index.ts'
import fc from '../../fast-check.ts'
import { type HeaderJson, type StoredToWrite, safetensorsBytes, tinyConfig, writeRandomHf } from '../../hf-writer.ts'
import { put, refusal, scratchFolder } from './fixtures.ts'

const folder = scratchFolder()
const weights = join(folder, 'model.safetensors')
const two: Record<string, StoredToWrite> = {
  'model.norm.weight': { dtype: 'F32', shape: [4], data: new Uint8Array(16) },
  'model.embed_tokens.weight': { dtype: 'F16', shape: [2, 4], data: new Uint8Array(16) },
}
beforeEach(() => {
  put(folder, 'config.json', JSON.stringify(tinyConfig))
})

const length = (bytes: bigint): Buffer => {
  const out = Buffer.alloc(8)
  out.writeBigUInt64LE(bytes)
  return out
}
const withHeader = (change: (json: HeaderJson) => unknown): Buffer => safetensorsBytes(two, change)
const withNorm = (change: Record<string, unknown>): Buffer =>
  withHeader((json) => ({ ...json, 'model.norm.weight': { ...json['model.norm.weight'], ...change } }))
const asText = (edit: (text: string) => string): Buffer => withHeader((json) => edit(JSON.stringify(json)))

test('the unbroken file opens, with padding and metadata', async () => {
  writeFileSync(
    weights,
    asText((text) => `${text.replace('{', '{"__metadata__":{"format":"pt"},')}     `),
  )
  await using checkpoint = await openCheckpoint(folder)
  expect([...checkpoint.weights].map(({ name }) => name)).toEqual(['output_norm.weight', 'token_embd.weight'])
})

test('scalars and empty tensors are fine', async () => {
  const more = {
    scalar: { dtype: 'F32', shape: [], data: new Uint8Array(4) },
    none: { dtype: 'F32', shape: [0, 3], data: new Uint8Array(0) },
  }
  writeFileSync(weights, safetensorsBytes({ ...two, ...more }))
  await using checkpoint = await openCheckpoint(weights)
  expect(checkpoint.weights.get('scalar')).toMatchObject({ shape: [], bytes: 4 })
})

const cases: [name: string, bytes: () => Uint8Array | string][] = [
  ['Git LFS pointer', () => 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'],
  ['web page', () => '<html><body>Not found</body></html>'],
  ['seven bytes', () => Buffer.alloc(7)],
  ['header of 0 bytes', () => length(0n)],
  ['header of 2^63 bytes', () => Buffer.concat([length(1n << 63n), Buffer.from('{}')])],
  ['header just beyond the limit', () => Buffer.concat([length(100_000_001n), Buffer.from('{}')])],
  ['header longer than the file', () => Buffer.concat([length(99_999_999n), Buffer.from('{}')])],
  ['header that starts with a space', () => asText((text) => ` ${text}`)],
  ['header that is no JSON', () => asText((text) => text.slice(0, -1))],
  ['text after the header', () => asText((text) => `${text} x`)],
  ['invalid UTF-8', () => Buffer.concat([length(4n), Buffer.from([0x7b, 0x22, 0xff, 0x22])])],
  ['nesting without end', () => asText((text) => text.replace('"F32"', '['.repeat(100)))],
  [
    'duplicate name',
    () =>
      asText((text) => `${text.slice(0, -1)},"model.norm.weight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`),
  ],
  [
    'duplicate name, escaped',
    () =>
      asText(
        (text) => `${text.slice(0, -1)},"model.norm\\u002eweight":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`,
      ),
  ],
  ['number above 2^53', () => asText((text) => text.replace('[4]', '[9007199254740993]'))],
  ['metadata that is not text', () => withHeader((json) => ({ __metadata__: { step: 1 }, ...json }))],
  ['tensor that is no object', () => withHeader((json) => ({ ...json, extra: [] }))],
  ['tensor with a further key', () => withNorm({ strides: [1] })],
  ['tensor without offsets', () => withNorm({ data_offsets: undefined })],
  ['unknown dtype', () => withNorm({ dtype: 'F31' })],
  ['dtype named after a method', () => withNorm({ dtype: 'toString' })],
  ['negative dim', () => withNorm({ shape: [-4] })],
  ['fractional dim', () => withNorm({ shape: [4.5] })],
  ['dims whose product is beyond 2^53', () => withNorm({ shape: [2 ** 50, 2 ** 50] })],
  ['begin after end', () => withNorm({ data_offsets: [16, 0] })],
  ['three offsets', () => withNorm({ data_offsets: [0, 8, 16] })],
  ['offsets beyond the file', () => withNorm({ data_offsets: [0, 2 ** 40] })],
  ['data that does not fit the shape', () => withNorm({ shape: [5] })],
  ['half a byte', () => withNorm({ dtype: 'F4', shape: [3] })],
  [
    'overlap',
    () =>
      safetensorsBytes(two, (json) => ({
        ...json,
        'model.embed_tokens.weight': { dtype: 'F16', shape: [2, 4], data_offsets: [8, 24] },
      })),
  ],
  [
    'hole',
    () =>
      Buffer.concat([
        safetensorsBytes(two, (json) => ({
          ...json,
          'model.embed_tokens.weight': { dtype: 'F16', shape: [2, 4], data_offsets: [20, 36] },
        })),
        Buffer.alloc(4),
      ]),
  ],
  ['bytes after the last tensor', () => Buffer.concat([safetensorsBytes(two), Buffer.alloc(1)])],
  ['two names of one weight', () => safetensorsBytes({ ...two, 'output_norm.weight': two['model.norm.weight']! })],
]
test.each(cases)('%s', async (_, bytes) =>
  expect(await refusal(put(folder, 'model.safetensors', bytes()))).toMatchSnapshot(),
)

test('a Git LFS pointer inside a folder is told as well', async () => {
  put(folder, 'model.safetensors', 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n')
  expect(await refusal(folder, folder)).toMatch(/Git LFS pointer/)
})

test('cut at every byte', async () => {
  const whole = safetensorsBytes(two)
  for (let size = whole.length - 1; size >= 0; size--) {
    writeFileSync(weights, whole.subarray(0, size))
    expect(await refusal(weights), `cut to ${size} bytes`).toMatch(/truncated-file/)
  }
}, 60_000)

test('bytes changed at random open or give a Diagnostic', async () => {
  const whole = safetensorsBytes(two)
  const change = fc.tuple(fc.nat(whole.length - 1), fc.nat(255))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
      const noisy = Buffer.from(whole)
      for (const [at, byte] of changes) noisy[at] = byte
      writeFileSync(weights, noisy)
      try {
        await (await openCheckpoint(folder))[Symbol.asyncDispose]()
      } catch (error) {
        expect(error).toBeInstanceOf(Diagnostic)
      }
    }),
    { numRuns: 1000 },
  )
}, 60_000)

describe('types that nobody computes with', () => {
  test.each(['F8_E4M3', 'I64', 'F64'])('%s opens, and is refused where a float is due', async (dtype) => {
    const bytes = { F8_E4M3: 1, I64: 8, F64: 8 }[dtype]! * 4
    writeFileSync(
      weights,
      safetensorsBytes({ 'model.norm.weight': { dtype, shape: [4], data: new Uint8Array(bytes) } }),
    )
    await using checkpoint = await openCheckpoint(folder)
    expect(() => requireWeight(checkpoint.weights, 'output_norm.weight', 'float', [4])).toThrow(
      new RegExp(
        `bad-weight.*\n.*output_norm.weight \\(model.norm.weight\\)\n.*\n  expected f32, f16 or bf16\n  got      ${dtype}`,
      ),
    )
  })
})

describe('shards', () => {
  const sharded = join(folder, 'sharded')
  const index = join(sharded, 'model.safetensors.index.json')
  const edit = async (change: (map: Record<string, unknown>) => unknown): Promise<string> => {
    const json = JSON.parse(readFileSync(index, 'utf8'))
    writeFileSync(index, JSON.stringify({ ...json, weight_map: change(json.weight_map) }))
    return refusal(sharded)
  }
  beforeEach(() => {
    rmSync(sharded, { recursive: true, force: true })
    writeRandomHf(sharded, {}, { shards: 2 })
  })

  test('a shard that leads out of the folder', async () =>
    expect(await edit((map) => ({ ...map, 'model.norm.weight': '../secret.safetensors' }))).toMatchSnapshot())
  test('an absolute path', async () =>
    expect(await edit((map) => ({ ...map, 'model.norm.weight': '/etc/x.safetensors' }))).toMatchSnapshot())
  test('a map that is a list', async () => expect(await edit(() => [])).toMatchSnapshot())
  test('no shards', async () => expect(await edit(() => ({}))).toMatchSnapshot())
  test('a tensor that its shard lacks', async () =>
    expect(await edit((map) => ({ ...map, 'lm_head.weight': 'model-00001-of-00002.safetensors' }))).toMatchSnapshot())
  test('two shards swapped', async () => {
    const [a, b] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'].map((name) =>
      join(sharded, name),
    )
    const [first, second] = [readFileSync(a!), readFileSync(b!)]
    writeFileSync(a!, second)
    writeFileSync(b!, first)
    expect(await refusal(sharded)).toMatchSnapshot()
  })
  test('a missing shard', async () => {
    rmSync(join(sharded, 'model-00002-of-00002.safetensors'))
    expect(await refusal(sharded)).toMatchSnapshot()
  })
  test('no weights at all', async () => {
    for (const name of ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'])
      rmSync(join(sharded, name))
    rmSync(index)
    put(sharded, 'pytorch_model.bin', '')
    expect(await refusal(sharded)).toMatchSnapshot()
  })
})
