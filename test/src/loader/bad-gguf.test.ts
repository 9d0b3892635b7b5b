// Every rule of the GGUF reader, each with a file that breaks it: advisories against other readers (oversized counts,
// lengths and dims, wrong types, places outside the file), and what people mistake for a model.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import fc from '../../fast-check.ts'
import { type Field, f32, type GgufToWrite, text, texts, u32 } from '../../gguf-writer.ts'
import { put, refusal, scratchFolder, tinyGguf, tinyMetadata, tinyTensors } from './fixtures.ts'

const folder = scratchFolder()
const refused = (bytes: string | Uint8Array): Promise<string> => refusal(put(folder, 'tiny.gguf', bytes))
const withKeys = (changes: Record<string, Field | undefined>): Buffer => tinyGguf({ metadata: tinyMetadata(changes) })
const u64 = (value: bigint): Buffer => {
  const out = Buffer.alloc(8)
  out.writeBigUInt64LE(value)
  return out
}
const withTensor = (change: Partial<ReturnType<typeof tinyTensors>[number]>): Buffer => {
  const [first, ...rest] = tinyTensors()
  return tinyGguf({ tensors: [{ ...first!, ...change }, ...rest] })
}
const rawArray = (items: number, count: bigint): Field => ({
  type: 'raw',
  id: 9,
  bytes: Buffer.concat([Buffer.from([items, 0, 0, 0]), u64(count)]),
})

test('the unbroken file opens', async () => {
  const checkpoint = await openCheckpoint(put(folder, 'good.gguf', tinyGguf()))
  expect(checkpoint.config).toMatchObject({ layers: 1, heads: 2, headDim: 4, rope: { style: 'interleaved' } })
  await checkpoint[Symbol.asyncDispose]()
})

test('version 2 is version 3', async () => {
  await using checkpoint = await openCheckpoint(put(folder, 'v2.gguf', tinyGguf({ version: 2 })))
  expect(checkpoint.weights.size).toBe(3)
})

const cases: [name: string, bytes: () => Uint8Array | string][] = [
  ['Git LFS pointer', () => 'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n'],
  ['web page', () => '\n<!DOCTYPE html><html></html>'],
  ['zip archive', () => Buffer.from('PK\x03\x04 a PyTorch file', 'latin1')],
  ['empty file', () => ''],
  ['four bytes', () => 'GGUF'],
  ['other magic', () => tinyGguf({ magic: 'GGUX' })],
  ['older format', () => tinyGguf({ magic: 'lmgg' })],
  ['version 1', () => tinyGguf({ version: 1 })],
  ['version 4', () => tinyGguf({ version: 4 })],
  ['big-endian', () => tinyGguf({ version: 0x03000000 })],
  ['huge number of tensors', () => tinyGguf({ tensorCount: 0xffffffffffffffffn })],
  ['more tensors than the file can hold', () => tinyGguf({ tensorCount: 100_000n })],
  ['huge number of keys', () => tinyGguf({ keyCount: 1n << 50n })],
  ['more keys than the file can hold', () => tinyGguf({ keyCount: 90_000n })],
  [
    'text length near 2^64',
    () => withKeys({ 'general.name': { type: 'raw', id: 8, bytes: u64(0xfffffffffffffff0n) } }),
  ],
  ['text longer than the file', () => withKeys({ 'general.name': { type: 'raw', id: 8, bytes: u64(1n << 40n) } })],
  ['array longer than the file', () => withKeys({ 'tokenizer.ggml.tokens': rawArray(8, 1n << 40n) })],
  ['array length near 2^64', () => withKeys({ 'tokenizer.ggml.tokens': rawArray(5, 0xffffffffffffffffn) })],
  ['unknown value type', () => withKeys({ 'general.name': { type: 'raw', id: 13, bytes: u64(0n) } })],
  ['unknown element type', () => withKeys({ 'general.name': rawArray(77, 1n) })],
  [
    'truth value of 2',
    () => withKeys({ 'tokenizer.ggml.add_bos_token': { type: 'raw', id: 7, bytes: Buffer.from([2]) } }),
  ],
  [
    'arrays nested without end',
    () =>
      withKeys({
        deep: {
          type: 'raw',
          id: 9,
          bytes: Buffer.concat(Array(9).fill(Buffer.from([9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))),
        },
      }),
  ],
  ['duplicate key', () => tinyGguf({ metadata: [...Object.entries(tinyMetadata()), ['general.name', text('again')]] })],
  ['empty key', () => withKeys({ '': u32(1) })],
  ['alignment of the wrong type', () => withKeys({ 'general.alignment': { type: 'u64', value: 32n } })],
  ['alignment 0x80000000', () => withKeys({ 'general.alignment': u32(0x80000000) })],
  ['alignment 0', () => withKeys({ 'general.alignment': u32(0) })],
  ['alignment 24', () => withKeys({ 'general.alignment': u32(24) })],
  ['part of a split model', () => withKeys({ 'split.count': { type: 'u16', value: 3 } })],
  ['2^32 - 1 dims', () => withTensor({ rank: 0xffffffff })],
  ['five dims', () => withTensor({ shape: [1, 1, 1, 4, 8] })],
  ['dims whose product wraps', () => withTensor({ shape: [1n << 33n, 1n << 33n] })],
  ['a dim of 2^63 - 1', () => withTensor({ shape: [2, (1n << 63n) - 1n] })],
  ['a dim of 2^64 / 4', () => withTensor({ shape: [(1n << 62n) - 1n] })],
  ['a tensor beyond the file', () => withTensor({ shape: [1 << 20, 8] })],
  ['a row of half a block', () => withTensor({ type: 'q8_0', shape: [4, 8] })],
  ...[4, 20, 31, 36, 39, 43, 255].map((type): [string, () => Uint8Array] => [
    `tensor type ${type}`,
    () => withTensor({ type }),
  ]),
  ['duplicate tensor', () => tinyGguf({ tensors: [...tinyTensors(), ...tinyTensors()] })],
  ['offset beyond the file', () => withTensor({ offset: 1 << 30 })],
  ['offset near 2^64', () => withTensor({ offset: (1n << 64n) - 32n })],
  ['tensors that overlap', () => tinyGguf({ tensors: tinyTensors().map((tensor) => ({ ...tensor, offset: 0 })) })],
  ['name of 300 bytes', () => withTensor({ name: 'x'.repeat(300) })],
  ['scores as bytes', () => withKeys({ 'tokenizer.ggml.scores': { type: 'array', items: 'i8', value: [0, 0, 0, 0] } })],
  ['too few scores', () => withKeys({ 'tokenizer.ggml.scores': { type: 'array', items: 'f32', value: [0] } })],
  ['tokens as numbers', () => withKeys({ 'tokenizer.ggml.tokens': { type: 'array', items: 'u32', value: [1, 2] } })],
  ['no tokens', () => withKeys({ 'tokenizer.ggml.tokens': undefined })],
  [
    'vocabulary of 0',
    () =>
      withKeys({
        'tokenizer.ggml.tokens': texts([]),
        'tokenizer.ggml.scores': undefined,
        'tokenizer.ggml.token_type': undefined,
        'tokenizer.ggml.bos_token_id': undefined,
        'tokenizer.ggml.eos_token_id': undefined,
      }),
  ],
  ['unknown tokenizer', () => withKeys({ 'tokenizer.ggml.model': text('rwkv') })],
  ['end token outside the vocabulary', () => withKeys({ 'tokenizer.ggml.eos_token_id': u32(4) })],
  ['no architecture', () => withKeys({ 'general.architecture': undefined })],
  ['architecture as number', () => withKeys({ 'general.architecture': u32(1) })],
  ['0 heads', () => withKeys({ 'llama.attention.head_count': u32(0) })],
  ['0 key/value heads', () => withKeys({ 'llama.attention.head_count_kv': u32(0) })],
  [
    '3 heads on 2 key/value heads',
    () =>
      withKeys({
        'llama.attention.head_count': u32(3),
        'llama.attention.head_count_kv': u32(2),
        'llama.embedding_length': u32(12),
      }),
  ],
  [
    'heads that do not divide the row',
    () => withKeys({ 'llama.attention.head_count': u32(3), 'llama.attention.head_count_kv': u32(3) }),
  ],
  ['0 layers', () => withKeys({ 'llama.block_count': u32(0) })],
  ['rope base 0', () => withKeys({ 'llama.rope.freq_base': f32(0) })],
  ['rope base NaN', () => withKeys({ 'llama.rope.freq_base': f32(Number.NaN) })],
  ['rope of an odd number of elements', () => withKeys({ 'llama.rope.dimension_count': u32(3) })],
  ['rope of more than a head', () => withKeys({ 'llama.rope.dimension_count': u32(8) })],
  ['unknown rope scaling', () => withKeys({ 'llama.rope.scaling.type': text('ntk\u001b[31m') })],
  [
    'yarn of a factor below 0',
    () => withKeys({ 'llama.rope.scaling.type': text('yarn'), 'llama.rope.scaling.factor': f32(-2) }),
  ],
  [
    'yarn of a factor that is no number',
    () => withKeys({ 'llama.rope.scaling.type': text('yarn'), 'llama.rope.scaling.factor': f32(Number.NaN) }),
  ],
  [
    'linear rope of a factor that is no number',
    () => withKeys({ 'llama.rope.scaling.type': text('linear'), 'llama.rope.scaling.factor': f32(Number.NaN) }),
  ],
  ['epsilon of infinity', () => withKeys({ 'llama.attention.layer_norm_rms_epsilon': f32(Number.POSITIVE_INFINITY) })],
  ['no feed-forward length', () => withKeys({ 'llama.feed_forward_length': undefined })],
  [
    'feed-forward lengths that differ',
    () => withKeys({ 'llama.feed_forward_length': { type: 'array', items: 'u32', value: [16, 32] } }),
  ],
]
test.each(cases)('%s', async (_, bytes) => expect(await refused(bytes())).toMatchSnapshot())

describe('what is not a file', () => {
  test('a pipe is refused at once', async () => {
    const pipe = `${folder}/pipe.gguf`
    execFileSync('mkfifo', [pipe])
    expect(await refusal(pipe)).toMatchSnapshot()
  })
  test('nothing there', async () => expect(await refusal(`${folder}/absent.gguf`)).toMatchSnapshot())
  test('a folder of several', async () => {
    for (const name of ['many/a.gguf', 'many/b.gguf']) put(folder, name, tinyGguf())
    expect(await refusal(`${folder}/many`, folder)).toMatchSnapshot()
  })
  test('a folder of one opens', async () => {
    put(folder, 'one/a.gguf', tinyGguf())
    await using checkpoint = await openCheckpoint(`${folder}/one`)
    expect(checkpoint.format).toBe('gguf')
  })
  test('an unknown architecture is named before its keys are missed', async () => {
    const path = put(folder, 'other.gguf', withKeys({ 'general.architecture': text('frob') }))
    await expect(openCheckpoint(path, { architectures: ['llama', 'qwen2'] })).rejects.toThrow(
      /unknown-architecture.*frob.*\n.*\n {2}known {2}llama, qwen2/,
    )
  })
})

test('cut at every byte', async () => {
  const whole = tinyGguf()
  const path = put(folder, 'cut.gguf', whole)
  for (let length = whole.length - 1; length >= 0; length--) {
    writeFileSync(path, whole.subarray(0, length))
    const message = await refusal(path)
    if (length >= 8) expect(message, `cut to ${length} bytes`).toMatch(/^error\[truncated-file\]/)
  }
}, 60_000)

test('bytes changed at random open or give a Diagnostic', async () => {
  const whole = tinyGguf()
  const path = put(folder, 'noise.gguf', whole)
  const change = fc.tuple(fc.nat(whole.length - 1), fc.oneof(fc.nat(255), fc.constantFrom(0, 255, 127, 128)))
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 8 }), async (changes) => {
      const noisy = Buffer.from(whole)
      for (const [at, byte] of changes) noisy[at] = byte
      writeFileSync(path, noisy)
      try {
        await (await openCheckpoint(path))[Symbol.asyncDispose]()
      } catch (error) {
        expect(error).toBeInstanceOf(Diagnostic)
      }
    }),
    { numRuns: 1500 },
  )
}, 60_000)

test('a hostile header costs no memory', async () => {
  const files: GgufToWrite[] = [
    { metadata: tinyMetadata({ 'tokenizer.ggml.tokens': rawArray(8, 3_999_999n) }), tensors: [] },
    { metadata: tinyMetadata(), tensors: [], tensorCount: 999_999n },
  ]
  const before = process.memoryUsage().arrayBuffers
  for (const file of files) await refused(tinyGguf(file))
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 2 ** 20)
})
