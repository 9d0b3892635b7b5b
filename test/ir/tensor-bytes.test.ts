import { describe, expect, test } from 'vitest'
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import { decodeTensor, encodeValues } from '../../ir/tensor-bytes.ts'
import { byteSize, rowBytes, type ScalarType, scalarTypes, tensor, typeFault } from '../../ir/type.ts'
import fc from '../fast-check.ts'

const ranges: Record<ScalarType, fc.Arbitrary<number>> = {
  f32: fc.float(),
  f16: fc.integer({ min: -2048, max: 2048 }).map((n) => n / 16),
  bf16: fc.integer({ min: -256, max: 256 }).map((n) => n * 0.5),
  f8_e4m3: fc.integer({ min: -16, max: 16 }).map((n) => n * 4),
  i32: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  u32: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
  i8: fc.integer({ min: -128, max: 127 }),
  u8: fc.integer({ min: 0, max: 255 }),
  bool: fc.integer({ min: 0, max: 1 }),
}

test.each(scalarTypes)('%s: what is encoded comes back', (dtype) =>
  fc.assert(
    fc.property(fc.array(ranges[dtype]), (values) => {
      const bytes = encodeValues(dtype, values)
      expect(bytes.length).toBe(rowBytes(dtype, values.length))
      expect([...decodeTensor(dtype, [values.length], bytes).data]).toEqual(values)
    }),
  ),
)

describe('bytes at an odd place', () => {
  const values = [1, -2, 0.5]
  test.each(['f32', 'f16', 'bf16'] as const)('%s in an array and in a Buffer', (dtype) => {
    const bytes = encodeValues(dtype, values)
    for (const room of [new Uint8Array(bytes.length + 1), Buffer.alloc(bytes.length + 1)]) {
      room.set(bytes, 1)
      const part = room.subarray(1)
      const { data } = decodeTensor(dtype, [3], part)
      expect([...data]).toEqual(values)
      part.fill(0)
      expect([...data], 'the values are a copy').toEqual(values)
    }
  })
})

test('infinity and NaN', () => {
  for (const dtype of ['f32', 'f16', 'bf16'] as const)
    expect([...decodeTensor(dtype, [3], encodeValues(dtype, [Infinity, -Infinity, Number.NaN])).data]).toEqual([
      Infinity,
      -Infinity,
      Number.NaN,
    ])
})

test('quantised weights decode to their values', () => {
  const bytes = new Uint8Array(34)
  bytes.set([0, 0x3c, 5, 0xff]) // d = 1; q = 5, -1, 0 …
  expect([...decodeTensor('q8_0', [1, 32], bytes).data.slice(0, 3)]).toEqual([5, -1, 0])
  expect(() => encodeValues('q8_0', [1])).toThrow('internal:')
  expect(() => decodeTensor('q8_0', [1, 32], bytes.subarray(1))).toThrow('internal:')
})

test('no elements, no dims', () => {
  expect(decodeTensor('q4_k', [0, 256], new Uint8Array()).data).toHaveLength(0)
  expect([...decodeTensor('f32', [], encodeValues('f32', [7])).data]).toEqual([7])
})

test('bytes of a type', () => {
  expect(byteSize(tensor('f16', ['T', 4]), { T: 3 })).toBe(24)
  expect(byteSize(tensor('f32', []))).toBe(4)
  for (const [name, { block, bytes }] of Object.entries(quantFormats))
    expect(byteSize(tensor(name as QuantType, [3, 2 * block]))).toBe(6 * bytes)
  expect(() => byteSize(tensor('f16', ['T']))).toThrow('dim T is not bound')
})

test('what no type can be', () => {
  expect(typeFault(tensor('f32', ['T', 0]))).toBeUndefined()
  expect(typeFault(tensor('q8_0', [32]))).toBeUndefined()
  expect(typeFault(tensor('q8_0', []))).toBe('rows of q8_0 must be a multiple of 32, are none')
  expect(typeFault(tensor('constructor' as 'f32', []))).toBe('unknown dtype constructor')
})
