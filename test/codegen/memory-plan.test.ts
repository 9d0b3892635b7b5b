import { expect, test } from 'vitest'
import { arenaAlignment, type Lifetime, planMemory } from '../../codegen/memory-plan.ts'
import fc from '../fast-check.ts'

const lifetimes = fc
  .array(fc.record({ bytes: fc.nat(5000), from: fc.nat(30), length: fc.nat(10) }), { maxLength: 60 })
  .map((list) => list.map(({ bytes, from, length }, i): Lifetime => ({ id: `%${i}`, bytes, from, to: from + length })))

const pairs = <T>(list: readonly T[]): [T, T][] => list.flatMap((a, i) => list.slice(i + 1).map((b): [T, T] => [a, b]))

test('live buffers never overlap, and lie aligned in the arena', () =>
  fc.assert(
    fc.property(lifetimes, (list) => {
      const { offsets, bytes } = planMemory(list)
      const end = (value: Lifetime) => offsets.get(value.id)! + value.bytes
      const together = pairs(list).filter(([a, b]) => a.from <= b.to && b.from <= a.to)
      const overlaps = ([a, b]: [Lifetime, Lifetime]) =>
        a.bytes > 0 && b.bytes > 0 && offsets.get(a.id)! < end(b) && offsets.get(b.id)! < end(a)
      expect(together.filter(overlaps)).toEqual([])
      for (const value of list) {
        expect(offsets.get(value.id)! % arenaAlignment).toBe(0)
        expect(end(value)).toBeLessThanOrEqual(bytes)
      }
    }),
  ))

test('the arena is no larger than all values together, nor smaller than the most that live at once', () =>
  fc.assert(
    fc.property(lifetimes, (list) => {
      const size = ({ bytes }: Lifetime) => Math.ceil(bytes / arenaAlignment) * arenaAlignment
      const sum = (values: readonly Lifetime[]) => values.reduce((total, value) => total + size(value), 0)
      const most = Math.max(0, ...list.map(({ from }) => sum(list.filter((v) => v.from <= from && from <= v.to))))
      const { bytes } = planMemory(list)
      expect(bytes).toBeLessThanOrEqual(sum(list))
      expect(bytes).toBeGreaterThanOrEqual(most)
    }),
  ))

test('the order of the list does not matter', () =>
  fc.assert(
    fc.property(lifetimes, (list) => {
      expect(planMemory([...list].reverse())).toEqual(planMemory(list))
    }),
  ))

test('a chain of equal values takes the room of two', () => {
  const chain = Array.from({ length: 100 }, (_, i): Lifetime => ({ id: `%${i}`, bytes: 1000, from: i, to: i + 1 }))
  expect(planMemory(chain).bytes).toBe(2 * 1024)
})
