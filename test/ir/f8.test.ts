import { expect, test } from 'vitest'
import { f8ToNumber, numberToF8 } from '../../ir/f8.ts'
import fc from '../fast-check.ts'

const bits = Array.from({ length: 256 }, (_, i) => i)
const numbers = bits.map(f8ToNumber)
const finite = numbers.filter((v) => !Number.isNaN(v))

test('every e4m3 comes back', () => {
  for (const i of bits) if (!Number.isNaN(numbers[i]!)) expect(numberToF8(numbers[i]!)).toBe(i)
})

test('the ends of the format', () => {
  expect([1, 8, 0x38, 0x7e, 0xfe].map(f8ToNumber)).toEqual([2 ** -9, 2 ** -6, 1, 448, -448])
  expect([1e9, Infinity, -Infinity, 448.1].map(numberToF8)).toEqual([0x7e, 0x7e, 0xfe, 0x7e])
  expect([f8ToNumber(0x7f), f8ToNumber(numberToF8(Number.NaN))]).toEqual([Number.NaN, Number.NaN])
})

test('ties go to the even mantissa', () => {
  expect([1.0625, 1.1875, 2 ** -10, 3 * 2 ** -10].map((v) => f8ToNumber(numberToF8(v)))).toEqual([1, 1.25, 0, 2 ** -8])
})

test('no other e4m3 is nearer', () =>
  fc.assert(
    fc.property(fc.double({ min: -500, max: 500, noNaN: true }), (v) => {
      const got = Math.abs(f8ToNumber(numberToF8(v)) - v)
      for (const other of finite) expect(Math.abs(other - v)).toBeGreaterThanOrEqual(got)
    }),
  ))
