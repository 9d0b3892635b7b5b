// GGUF models in several files: opened by the first part or the folder, and what is refused.
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { type Field, ggufBytes, type TensorToWrite, text } from '../../gguf-writer.ts'
import { put, refusal, scratchFolder, tinyMetadata, tinyTensors } from './fixtures.ts'

const root = scratchFolder()
const u16 = (value: number): Field => ({ type: 'u16', value })
const i32 = (value: number): Field => ({ type: 'i32', value })
const tensors = tinyTensors()

interface Part {
  readonly name?: string
  readonly no?: number
  readonly count?: number
  readonly tensors?: number
  readonly holds?: readonly TensorToWrite[]
  readonly more?: Readonly<Record<string, Field>>
}

/** The bytes of a part of the tiny model, which has one tensor in each of three. */
const part = (
  n: number,
  { no = n, count = 3, tensors: all = 3, holds = [tensors[n]!], more = {} }: Part = {},
): Buffer =>
  ggufBytes({
    metadata: {
      ...(n === 0 ? tinyMetadata() : {}),
      ...more,
      'split.no': u16(no),
      'split.count': u16(count),
      'split.tensors.count': i32(all),
    },
    tensors: holds,
  })
const nameOf = (n: number, count = 3) => `tiny-0000${n + 1}-of-0000${count}.gguf`

let folders = 0
/** A folder with three parts, some of them changed or (null) left out. */
function model(changes: Readonly<Record<number, Part | null>> = {}): string {
  const folder = join(root, `model ${++folders}`)
  for (const n of [0, 1, 2]) {
    const change = changes[n]
    if (change !== null) put(folder, change?.name ?? nameOf(n), part(n, change))
  }
  return folder
}

describe('three parts', () => {
  test.each(['the first part', 'the folder'])('%s stands for the model', async (how) => {
    const folder = model()
    await using checkpoint = await openCheckpoint(how === 'the folder' ? folder : join(folder, nameOf(0)))
    expect([...checkpoint.weights].map(({ name, file }) => [name, file])).toEqual(
      tensors.map(({ name }, n) => [name, join(folder, nameOf(n))]),
    )
    const last = checkpoint.weights.get(tensors[2]!.name)!
    const bytes = new Uint8Array(last.bytes)
    checkpoint.weights.readSync(last, bytes)
    expect(bytes).toEqual(new Uint8Array(tensors[2]!.data))
  })

  test('a first part without tensors, parts with the architecture written again', async () => {
    const folder = model({
      0: { holds: [] },
      1: { holds: tensors.slice(0, 2), more: { 'general.architecture': text('llama') } },
    })
    await using checkpoint = await openCheckpoint(folder)
    expect(checkpoint.weights.size).toBe(3)
  })

  test('a file that was split into one is whole', async () => {
    const path = put(join(root, 'one'), 'tiny.gguf', part(0, { count: 1, holds: tensors }))
    await using checkpoint = await openCheckpoint(path)
    expect(checkpoint.weights.size).toBe(3)
  })
})

test.each<[what: string, make: () => string]>([
  ['a part is missing', () => model({ 1: null })],
  ['two are missing', () => model({ 1: null, 2: null })],
  ['the first is missing', () => model({ 0: null })],
  ['another part than the first is named', () => join(model(), nameOf(1))],
  ['two parts are swapped', () => model({ 1: { no: 2 }, 2: { no: 1 } })],
  ['a part is there twice', () => model({ 2: { no: 1, holds: [tensors[1]!] } })],
  ['a part is of a model in four', () => model({ 1: { count: 4 } })],
  ['a part is of a model with more tensors', () => model({ 2: { tensors: 4 } })],
  [
    'a part is no part',
    () => {
      const folder = model()
      put(folder, nameOf(1), ggufBytes({ metadata: {}, tensors: [tensors[1]!] }))
      return folder
    },
  ],
  ['a part is of another model', () => model({ 1: { more: { 'general.architecture': text('qwen2') } } })],
  ['parts hold fewer tensors than said', () => model({ 2: { holds: [] } })],
  ['parts hold the same tensor', () => model({ 2: { holds: [tensors[0]!] } })],
  ['the first was renamed', () => join(model({ 0: { name: 'first.gguf' } }), 'first.gguf')],
  [
    'a part is cut off',
    () => {
      const folder = model()
      put(folder, nameOf(2), part(2).subarray(0, 200))
      return folder
    },
  ],
  ['a part of 65535', () => put(join(root, 'many'), 'tiny-00001-of-65535.gguf', part(0, { count: 65535 }))],
])('%s', async (_, make) => {
  const path = make()
  const text = await refusal(path, root)
  expect(text.replaceAll(/model \d+/g, 'model')).toMatchSnapshot()
})

test('a folder of parts of two models is none', async () => {
  const folder = model()
  put(folder, 'other-00001-of-00001.gguf', part(0))
  expect(await refusal(folder)).toContain('the folder holds several models')
})

describe.skipIf(process.platform !== 'linux')('on Linux, where /proc tells', () => {
  test('each file is open once, and closed also after a failure', async () => {
    const open = () => readdirSync('/proc/self/fd').length
    const whole = model()
    const before = open()
    {
      await using checkpoint = await openCheckpoint(whole)
      expect(open()).toBe(before + 3)
      expect(checkpoint.format).toBe('gguf')
    }
    expect(open()).toBe(before)
    await refusal(model({ 2: { no: 7 } }))
    expect(open()).toBe(before)
  })
})
