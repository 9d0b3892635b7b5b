import { expect, test } from 'vitest'
import { PageAllocator } from '../../../src/engine/page-allocator.ts'
import fc from '../../fast-check.ts'

test('no page is lost, none is given twice', () => {
  const action = fc.oneof(
    fc.record({ take: fc.nat(12) }),
    fc.record({ give: fc.nat(5) }), // which of the held lists
  )
  fc.assert(
    fc.property(fc.nat(20), fc.array(action, { maxLength: 60 }), (pages, actions) => {
      const allocator = new PageAllocator(pages)
      const held: number[][] = []
      for (const one of actions) {
        if ('give' in one) {
          const [list] = held.splice(one.give % Math.max(1, held.length), 1)
          if (list) allocator.give(list)
        } else if (one.take <= allocator.free) held.push(allocator.take(one.take))
        else expect(() => allocator.take(one.take)).toThrowError(expect.objectContaining({ code: 'kv-full' }))
        const used = held.flat()
        expect(new Set(used).size).toBe(used.length)
        expect(used.every((page) => Number.isInteger(page) && page >= 0 && page < pages)).toBe(true)
        expect(allocator.free + used.length).toBe(pages)
      }
    }),
  )
})

test('pages of a fresh cache come in order; those given back come again', () => {
  const allocator = new PageAllocator(4)
  expect(allocator.take(3)).toEqual([0, 1, 2])
  allocator.give([0, 1, 2])
  expect(allocator.take(2)).toEqual([0, 1])
})

test('giving back what is not held is our own mistake', () => {
  const allocator = new PageAllocator(4)
  const pages = allocator.take(2)
  allocator.give(pages)
  expect(() => allocator.give(pages)).toThrowError(/internal: .*twice/)
  expect(() => allocator.give([3])).toThrowError(/internal: /)
})

test('too many pages: what is free, what is needed, what to do', () => {
  const allocator = new PageAllocator(4)
  allocator.take(3)
  expect(() => allocator.take(2)).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[kv-full]: the KV cache has 1 of 4 pages free, 2 are needed
      help: wait for other generations to end, ask for fewer tokens, or load the model with a larger context]
  `)
})
