import { expect, test } from 'vitest'
import { ceilDiv, evaluate, least, plus, printExtent, symbolsOf, times } from '../../codegen/extent.ts'

const grid = times(ceilDiv(100, 8), ceilDiv(plus('T', 3), 4))

test('what is known is computed, the rest prints', () => {
  expect(printExtent(grid)).toMatchInlineSnapshot(`"13·⌈(T + 3)/4⌉"`)
  expect(times(2, 3, 4)).toBe(24)
  expect(times(1, 'T', 1)).toBe('T')
  expect(ceilDiv('T', 1)).toBe('T')
  expect(printExtent(least('L', 64))).toBe('min(L, 64)')
})

test('extents follow their symbols', () => {
  expect(evaluate(grid, { T: 6 })).toBe(13 * 3)
  expect(evaluate(least('L', 64), { L: 100 })).toBe(64)
  expect(symbolsOf(plus(times('T', 'R'), 4))).toEqual(['T', 'R'])
  expect(() => evaluate('L', {})).toThrow('dim L is not bound')
})
