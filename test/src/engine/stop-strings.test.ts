import { expect, test } from 'vitest'
import { StopStrings } from '../../../src/engine/stop-strings.ts'
import fc from '../../fast-check.ts'

/** What is shown of each piece, then what is shown at the end. */
function shown(stops: readonly string[], pieces: readonly string[]): string[] {
  const watch = new StopStrings(stops)
  return [...pieces.map((piece) => watch.push(piece)), watch.end()]
}

test('holds back what may become a stop string, shows it when it does not', () => {
  expect(shown(['END'], ['a', 'bE', 'N', 'x', 'E'])).toEqual(['a', 'b', '', 'ENx', '', 'E'])
})

test('ends before the stop string, whatever follows', () => {
  expect(shown(['END', 'STOP'], ['one ', 'STO', 'P two', ' three'])).toEqual(['one ', '', '', '', ''])
})

test('of two in one piece, the first ends the text', () => {
  expect(shown(['bb', 'a'], ['xbbya'])).toEqual(['x', ''])
  expect(shown(['ab', 'b'], ['xab'])).toEqual(['x', ''])
})

test('an empty stop string stops nothing', () => {
  expect(shown([''], ['a', 'b'])).toEqual(['a', 'b', ''])
})

test('equals cutting the whole text at the first stop string that is complete', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '🐘', 'é'), maxLength: 5 })
  fc.assert(
    fc.property(fc.array(letters, { maxLength: 4 }), fc.array(letters, { maxLength: 20 }), (stops, pieces) => {
      const watch = new StopStrings(stops)
      let [text, got, cut] = ['', '', -1]
      for (const piece of pieces) {
        got += watch.push(piece)
        // naive: the text so far, searched from its start after every piece
        if (cut < 0) {
          text += piece
          const places = stops.filter((stop) => stop).map((stop) => text.indexOf(stop))
          const found = places.filter((at) => at >= 0)
          if (found.length) cut = Math.min(...found)
        }
        const known = cut < 0 ? text : text.slice(0, cut)
        expect(known.startsWith(got)).toBe(true)
        // no more is held than a stop string could still need
        expect(known.length - got.length).toBeLessThan(Math.max(1, ...stops.map((stop) => stop.length)))
      }
      got += watch.end()
      expect(watch.found).toBe(cut >= 0)
      expect(got).toBe(cut < 0 ? text : text.slice(0, cut))
    }),
    { numRuns: 2000 },
  )
})
