import { expect, test } from 'vitest'
import { bf16ToNumber, f16ToNumber, numberToBf16, numberToF16 } from '../../ir/half.ts'
import fc from '../fast-check.ts'

const all = Array.from({ length: 65536 }, (_, bits) => bits)

test('every f16 and bf16 comes back as itself', () => {
  expect(all.filter((bits) => !Number.isNaN(f16ToNumber(bits)) && numberToF16(f16ToNumber(bits)) !== bits)).toEqual([])
  expect(all.filter((bits) => !Number.isNaN(bf16ToNumber(bits)) && numberToBf16(bf16ToNumber(bits)) !== bits)).toEqual(
    [],
  )
})

test.each([
  [1, 0x3c00],
  [-2, 0xc000],
  [65504, 0x7bff],
  [65519.99, 0x7bff],
  [65520, 0x7c00],
  [2 ** -24, 1],
  [2 ** -25, 0], // a tie goes to the even neighbour
  [3 * 2 ** -25, 2],
  [2 ** -14 - 2 ** -26, 0x0400],
  [1 + 2 ** -11, 0x3c00],
  [1 + 3 * 2 ** -11, 0x3c02],
  [-0, 0x8000],
  [Number.NaN, 0x7e00],
  [Number.NEGATIVE_INFINITY, 0xfc00],
])('%d is f16 %i', (value, bits) => expect(numberToF16(value)).toBe(bits))

test('bf16 rounds an f32 to nearest, ties to even', () =>
  fc.assert(
    fc.property(fc.float({ noNaN: true }), (value) => {
      const [bits] = new Uint32Array(Float32Array.of(value).buffer)
      const upper = bits! >>> 16
      const rest = bits! & 0xffff
      const up = rest > 0x8000 || (rest === 0x8000 && (upper & 1) === 1)
      expect(numberToBf16(value)).toBe(upper + (up ? 1 : 0))
    }),
  ))
