import { expect, test } from 'vitest'
import { MergeTable } from '../../../src/tokenizer/merge.ts'
import fc from '../../fast-check.ts'

type Merge = readonly [left: number, right: number, rank: number, result: number]

/** The definition: again and again the pair of lowest rank, the leftmost of equals. */
function naive(merges: readonly Merge[], symbols: readonly number[]): number[] {
  const list = [...symbols]
  for (;;) {
    let best: { at: number; rank: number; result: number } | undefined
    for (let at = 0; at + 1 < list.length; at++) {
      for (const [left, right, rank, result] of merges) {
        if (list[at] === left && list[at + 1] === right && rank < (best?.rank ?? Infinity)) best = { at, rank, result }
      }
    }
    if (!best) return list
    list.splice(best.at, 2, best.result)
  }
}

test('merges as the definition does', () => {
  const symbol = fc.integer({ min: 0, max: 5 })
  const pair = fc.tuple(symbol, symbol, fc.integer({ min: 0, max: 3 }), symbol)
  const merges = fc.uniqueArray(pair, { selector: ([left, right]) => left * 8 + right, maxLength: 20 })
  fc.assert(
    fc.property(merges, fc.array(fc.integer({ min: -1, max: 5 }), { maxLength: 40 }), (list, symbols) => {
      const table = new MergeTable()
      for (const merge of list) table.add(...merge)
      expect(table.apply(symbols)).toEqual(naive(list, symbols))
    }),
    { numRuns: 1000 },
  )
})

test('keeps the better rank of a pair given twice', () => {
  const table = new MergeTable()
  table.add(0, 0, 5, 1)
  table.add(0, 0, 2, 2)
  table.add(0, 0, 9, 3)
  expect(table.size).toBe(1)
  expect(table.apply([0, 0])).toEqual([2])
})

test('leaves short and empty lists alone', () => {
  const table = new MergeTable()
  expect(table.apply([])).toEqual([])
  expect(table.apply([7])).toEqual([7])
})
