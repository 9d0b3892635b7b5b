import { expect, test } from 'vitest'
import { parseJsonObject } from '../../../src/loader/strict-json.ts'
import fc from '../../fast-check.ts'

const read = (text: string, mode: 'strict' | 'config' = 'config') =>
  parseJsonObject(Buffer.from(text), { code: 'bad-config', file: 'x.json', mode })
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value))

test('agrees with JSON.parse on every object', () =>
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ maxDepth: 4 })),
      fc.constantFrom(undefined, 2),
      (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(plain(read(text))).toEqual(JSON.parse(text))
      },
    ),
  ))

test('agrees with JSON.parse on what is no JSON', () =>
  fc.assert(
    fc.property(
      fc.json({ maxDepth: 2 }),
      fc.nat(),
      fc.constantFrom('', ',', '"', '}', '0', '\\', '\n', ' '),
      (json, at, insert) => {
        const text = `{"a":${json}}`
        const place = at % text.length
        const broken = text.slice(0, place) + insert + text.slice(place + 1)
        const reads = (action: () => unknown): boolean => {
          try {
            action()
            return true
          } catch {
            return false
          }
        }
        const repeated = /occurs twice/
        try {
          read(broken, 'strict')
        } catch (error) {
          if (repeated.test(String(error)) || /beyond 2\^53/.test(String(error))) return
        }
        expect(reads(() => read(broken, 'strict'))).toBe(
          reads(() => Object.entries(JSON.parse(broken)) && assertObject(JSON.parse(broken))),
        )
      },
    ),
    { numRuns: 1000 },
  ))

function assertObject(value: unknown): void {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('no object')
}

test('what Python writes', () => {
  expect(read('{"a": NaN, "b": [Infinity, -Infinity], "c": 1000000000000000019884624838656}')).toMatchObject({
    a: Number.NaN,
    b: [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  })
  expect(() => read('{"a": NaN}', 'strict')).toThrow(/malformed/)
  expect(() => read('{"a": 1000000000000000019884624838656}', 'strict')).toThrow(/2\^53/)
})

test('repeated keys: the same value may pass in a config, never in a header', () => {
  expect(plain(read('{"a": 1, "a": 1}'))).toEqual({ a: 1 })
  expect(() => read('{"a": 1, "a": 2}')).toThrow(/occurs twice/)
  expect(() => read('{"a": 1, "a": 1}', 'strict')).toThrow(/occurs twice/)
})

test('a key that JavaScript gives a meaning is only a key', () => {
  const value = read('{"__proto__": {"x": 1}, "constructor": 2}')
  expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
})
