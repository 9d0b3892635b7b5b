// Drawn tokens follow softmax(logits / temperature), over exactly the tokens that top-k, top-p and min-p keep: counted over
// thousands of seeds, against probabilities computed here.
import { describe, expect, test } from 'vitest'
import { compileGraph } from '../../src/api/compile-graph.ts'
import { GraphBuilder, ops, tensor } from '../../src/index.ts'

const draws = 4000
const logits = [1.5, 0.2, -0.7, 2.1, 0, -1.2, 0.9, 1.1]

interface Settings {
  readonly temperature?: number
  readonly topK?: number
  readonly topP?: number
  readonly minP?: number
}

function samplerGraph(V: number) {
  const g = new GraphBuilder('draw')
  const per = (name: string, dtype: 'f32' | 'i32' | 'u32') => g.input(name, tensor(dtype, ['R']))
  const token = ops.sample({
    logits: g.input('logits', tensor('f32', ['R', V])),
    temperature: per('temperature', 'f32'),
    top_k: per('top_k', 'i32'),
    top_p: per('top_p', 'f32'),
    min_p: per('min_p', 'f32'),
    seed: per('seed', 'u32'),
    positions: per('positions', 'i32'),
  })
  g.output('token', token)
  return g.build()
}

/** Tokens drawn on a device: one a row, each row with a seed and a position of its own. */
async function draw(
  device: string,
  row: readonly number[],
  s: Settings,
  where: (i: number) => { seed: number; position: number },
) {
  const rows = Array.from({ length: draws }, (_, i) => where(i))
  const all = (value: number) => rows.map(() => value)
  await using graph = await compileGraph(samplerGraph(row.length), { device, limits: { R: draws } })
  const { token } = await graph.run({
    logits: rows.flatMap(() => row),
    temperature: all(s.temperature ?? 1),
    top_k: all(s.topK ?? 0),
    top_p: all(s.topP ?? 1),
    min_p: all(s.minP ?? 0),
    seed: rows.map(({ seed }) => seed),
    positions: rows.map(({ position }) => position),
  })
  return [...token!.data]
}

const bySeed = (i: number) => ({ seed: (i * 2654435761) >>> 0, position: 17 })
const byNextSeed = (i: number) => ({ seed: i, position: 0 })
const byPosition = (i: number) => ({ seed: 42, position: i })

/** Probabilities after the settings, by the definitions. */
function probabilities(row: readonly number[], { temperature = 1, topK = 0, topP = 1, minP = 0 }: Settings): number[] {
  const order = row.map((_, i) => i).sort((a, b) => row[b]! - row[a]!)
  let kept = topK > 0 ? order.slice(0, topK) : order
  const weight = (i: number) => Math.exp((row[i]! - row[order[0]!]!) / temperature)
  const total = kept.reduce((sum, i) => sum + weight(i), 0)
  const upTo = (last: number) => kept.slice(0, last + 1).reduce((sum, i) => sum + weight(i), 0)
  if (topP < 1) kept = kept.slice(0, kept.findIndex((_, last) => upTo(last) >= topP * total) + 1)
  kept = kept.filter((i) => weight(i) >= minP)
  const norm = kept.reduce((n, i) => n + weight(i), 0)
  return row.map((_, i) => (kept.includes(i) ? weight(i) / norm : 0))
}

/** Pearson's statistic over the cells that can occur. */
const chiSquare = (tokens: readonly number[], p: readonly number[]): number =>
  p.reduce((sum, share, i) => {
    const seen = tokens.filter((token) => token === i).length
    return share === 0 ? sum : sum + (seen - share * draws) ** 2 / (share * draws)
  }, 0)

const settings: readonly Settings[] = [
  {},
  { temperature: 0.7 },
  { temperature: 3 },
  { topK: 3 },
  { topK: 1 },
  { topP: 0.8 },
  { topP: 0.8, temperature: 2 },
  { topP: 0.05 },
  { minP: 0.2 },
  { minP: 0.2, temperature: 0.5 },
  { topK: 6, topP: 0.9, minP: 0.1, temperature: 1.5 },
]

describe.each(['reference', 'host'])('on %s', (device) => {
  test.each(settings)('%o', async (setting) => {
    const p = probabilities(logits, setting)
    const possible = p.flatMap((share, i) => (share > 0 ? [i] : []))
    for (const where of [bySeed, byNextSeed, byPosition]) {
      const tokens = await draw(device, logits, setting, where)
      expect([...new Set(tokens)].sort()).toEqual(possible)
      // 99.99 % of samples of 7 degrees of freedom stay below 29.9; the seeds are fixed, so this does not vary
      expect(chiSquare(tokens, p)).toBeLessThan(29.9)
    }
  })

  test('temperature 0 takes the first of the largest', async () => {
    const row = [0, 5, -1, 5, 4.9, 2, 1, 0]
    expect(new Set(await draw(device, row, { temperature: 0 }, bySeed))).toEqual(new Set([1]))
  })

  test('−∞ is never drawn, and a row with NaN gives no token', async () => {
    const row = [Number.NEGATIVE_INFINITY, 1, Number.NEGATIVE_INFINITY, 0.5, Number.NEGATIVE_INFINITY, 1, 1, 0]
    expect([...new Set(await draw(device, row, { temperature: 5 }, bySeed))].sort()).toEqual([1, 3, 5, 6, 7])
    const bad = [...row.slice(0, 2), Number.NaN, ...row.slice(3)]
    expect(new Set(await draw(device, bad, { temperature: 5 }, bySeed))).toEqual(new Set([-(2 ** 31)]))
  })
})

test('host and reference draw the same tokens', async () => {
  const V = 333
  const row = Array.from({ length: V }, (_, i) => 4 * Math.sin(i * i))
  for (const setting of [{}, { temperature: 0.7, topK: 40, topP: 0.9 }, { minP: 0.05, temperature: 1.3 }]) {
    const [a, b] = [await draw('host', row, setting, bySeed), await draw('reference', row, setting, bySeed)]
    expect(a.filter((token, i) => token !== b[i])).toEqual([])
  }
})
