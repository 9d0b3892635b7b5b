import { expect, test } from 'vitest'
import { BytePairEncoder } from '../../../src/tokenizer/byte-pair.ts'
import { finish } from '../../../src/tokenizer/steps.ts'
import fc from '../../fast-check.ts'

const letters = [...'ab ']

/** The definition, merge by merge: each list entry in turn of rank, the leftmost pair first. */
function naive(
  ids: ReadonlyMap<string, number>,
  merges: readonly (readonly [string, string])[],
  word: string,
): number[] {
  const pieces = [...word]
  for (;;) {
    let best: { rank: number; at: number } | undefined
    for (let at = 0; at + 1 < pieces.length; at++) {
      const rank = merges.findIndex(
        ([left, right]) => left === pieces[at] && right === pieces[at + 1] && ids.has(left + right),
      )
      if (rank >= 0 && rank < (best?.rank ?? Number.POSITIVE_INFINITY)) best = { rank, at }
    }
    if (!best) return pieces.map((piece) => ids.get(piece)!)
    pieces.splice(best.at, 2, pieces[best.at]! + pieces[best.at + 1]!)
  }
}

const piece = fc.array(fc.constantFrom(...letters), { minLength: 1, maxLength: 3 }).map((chars) => chars.join(''))
const merge = fc.tuple(piece, piece, fc.boolean())
const cut = (text: string): [string, string] => {
  const at = text.indexOf(' ', 1)
  return at < 0 ? ['', ''] : [text.slice(0, at), text.slice(at + 1)]
}

test('merges as the definition does, however merges are written', () =>
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 12 }),
      fc.array(merge, { maxLength: 12 }),
      fc.array(fc.constantFrom(...letters), { maxLength: 24 }).map((chars) => chars.join('')),
      (pieces, list, word) => {
        const ids = new Map([...new Set([...letters, ...pieces])].map((text, id) => [text, id]))
        const merges = list.map(([left, right, apart]) => (apart ? ([left, right] as const) : `${left} ${right}`))
        const meant = merges.map((one) => (typeof one === 'string' ? cut(one) : one))
        const found: number[] = []
        finish(new BytePairEncoder({ ids, merges }).encode(word, found))
        expect(found).toEqual(naive(ids, meant, word))
      },
    ),
    { numRuns: 2000 },
  ))
