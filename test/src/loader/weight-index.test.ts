import { truncateSync } from 'node:fs'
import { expect, test } from 'vitest'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { requireWeight, requireWeights } from '../../../src/loader/weight-index.ts'
import { put, scratchFolder, tinyGguf } from './fixtures.ts'

const folder = scratchFolder()
const path = put(folder, 'tiny.gguf', tinyGguf())
const textOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return (error as Error).message.replaceAll(folder, '…')
  }
  throw new Error('nothing was refused')
}

test('a weight of the right type and shape', async () => {
  await using checkpoint = await openCheckpoint(path)
  expect(requireWeight(checkpoint.weights, 'blk.0.attn_q.weight', 'matrix', [8, 8])).toMatchObject({
    dtype: 'f32',
    bytes: 256,
  })
})

test('the wrong shape', async () => {
  await using checkpoint = await openCheckpoint(path)
  expect(textOf(() => requireWeight(checkpoint.weights, 'output_norm.weight', 'float', [16]))).toMatchInlineSnapshot(`
    "error[bad-weight]: a weight has the wrong shape for its role
      weight   output_norm.weight
      file     …/tiny.gguf
      expected [16]
      got      [8]
      help: the configuration and the weights are of different models, or one of them is damaged"
  `)
})

test('the wrong type', async () => {
  await using checkpoint = await openCheckpoint(path)
  expect(textOf(() => requireWeight(checkpoint.weights, 'output_norm.weight', 'i32', [8]))).toMatchInlineSnapshot(`
    "error[bad-weight]: a weight has the wrong type for its role
      weight   output_norm.weight
      file     …/tiny.gguf
      expected i32
      got      f32"
  `)
})

test('everything that is missing is listed at once', async () => {
  await using checkpoint = await openCheckpoint(path)
  const roles = Array.from(
    { length: 14 },
    (_, n) => ({ name: `blk.${n}.attn_q.weight`, kind: 'matrix', shape: [8, 8] }) as const,
  )
  expect(textOf(() => requireWeights(checkpoint.weights, roles))).toMatchInlineSnapshot(`
    "error[missing-weight]: 13 weights of the model are missing
      in      …/tiny.gguf (3 weights)
      missing blk.1.attn_q.weight
              blk.2.attn_q.weight
              blk.3.attn_q.weight
              blk.4.attn_q.weight
              blk.5.attn_q.weight
              blk.6.attn_q.weight
              blk.7.attn_q.weight
              blk.8.attn_q.weight
              blk.9.attn_q.weight
              blk.10.attn_q.weight
              blk.11.attn_q.weight
              blk.12.attn_q.weight
              and 1 more
      there   token_embd.weight, output_norm.weight, blk.0.attn_q.weight
      help: the download may be incomplete, or the configuration is that of another model"
  `)
})

test('a file that shrinks while it is read', async () => {
  const shrinking = put(folder, 'shrinking.gguf', tinyGguf())
  await using checkpoint = await openCheckpoint(shrinking)
  const entry = requireWeight(checkpoint.weights, 'blk.0.attn_q.weight', 'float', [8, 8])
  truncateSync(shrinking, entry.offset + 100)
  const text = textOf(() => checkpoint.weights.readSync(entry, new Uint8Array(entry.bytes), 0))
  expect(text).toMatchInlineSnapshot(`
    "error[file-changed]: the file ended while it was being read
      file   …/shrinking.gguf
      wanted 256 bytes at byte 1152
      got    100 bytes; the file had 1408 bytes when it was opened
      help: do not change a model file while it is in use; load it again"
  `)
  await expect(checkpoint.weights.read(entry, new Uint8Array(entry.bytes), 0)).rejects.toThrow(/file-changed/)
})

test('a read beyond the end of a weight is our own mistake', async () => {
  await using checkpoint = await openCheckpoint(path)
  const entry = checkpoint.weights.get('output_norm.weight')!
  expect(() => checkpoint.weights.readSync(entry, new Uint8Array(8), 30)).toThrow(/^internal/)
})
