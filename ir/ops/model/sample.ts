import type { HostTensor } from '../../host-tensor.ts'
import { defineOp, expectDtype, expectFloat, expectRank, sameDim } from '../../op.ts'
import { tensor } from '../../type.ts'
import { noToken } from './no-token.ts'

/**
 * Draws by the Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): the token that maximises logit / temperature + G, with
 * G = −log(−log u). u comes from a counter-based generator keyed by (seed, position, token), so that a seed gives the same
 * text on every run, whatever else runs beside it.
 */
export const sample = defineOp('sample', {
  doc:
    'i[r] drawn from softmax(logits / temperature) over the tokens kept: the top_k largest (0: all), then the smallest set whose ' +
    'probability reaches top_p, of these those with probability ≥ min_p · the largest; equals of the last one kept are kept too. ' +
    'temperature 0: the first largest logit. −2³¹, no token, where the largest logit is not a finite number, NaN the largest of all',
  operands: {
    logits: 'f32[R, V]',
    temperature: 'f32[R]',
    top_k: 'i32[R], 0 = off',
    top_p: 'f32[R], 1 = off',
    min_p: 'f32[R], 0 = off',
    seed: 'u32[R]',
    positions: 'i32[R] the counter: position of the last token of each request',
  },
  traits: ['rowwise'],
  infer({ logits, temperature, top_k, top_p, min_p, seed, positions }) {
    expectFloat('logits', logits)
    expectRank('logits', logits, 2)
    for (const [name, type] of Object.entries({ temperature, top_k, top_p, min_p, seed, positions }))
      expectRank(name, type, 1)
    const R = sameDim('R', [logits, 0], [temperature, 0], [top_k, 0], [top_p, 0], [min_p, 0], [seed, 0], [positions, 0])
    for (const [name, type] of [
      ['temperature', temperature],
      ['top_p', top_p],
      ['min_p', min_p],
    ] as const)
      expectDtype(name, type, 'f32')
    for (const [name, type] of [
      ['top_k', top_k],
      ['positions', positions],
    ] as const)
      expectDtype(name, type, 'i32')
    expectDtype('seed', seed, 'u32')
    return tensor('i32', [R])
  },
  reference(operands) {
    const [R, V] = operands.logits.shape as [number, number]
    const data = new Int32Array(R)
    for (let r = 0; r < R; r++) data[r] = draw(operands, operands.logits.data.subarray(r * V, (r + 1) * V), r)
    return { dtype: 'i32', shape: [R], data }
  },
})

type SampleOperands = Record<'temperature' | 'top_k' | 'top_p' | 'min_p' | 'seed' | 'positions', HostTensor>

function draw(o: SampleOperands, row: ArrayLike<number>, r: number): number {
  const logits = Array.from(row)
  let best = 0
  for (let v = 0; v < logits.length; v++) {
    if (Number.isNaN(logits[v])) return noToken
    if (logits[v]! > logits[best]!) best = v
  }
  if (!Number.isFinite(logits[best])) return noToken
  const temperature = o.temperature.data[r]!
  if (!(temperature > 0)) return best
  const floor = keepFrom(logits, logits[best]!, temperature, o.top_k.data[r]!, o.top_p.data[r]!, o.min_p.data[r]!)
  let [winner, highest] = [best, Number.NEGATIVE_INFINITY]
  for (let v = 0; v < logits.length; v++) {
    if (logits[v]! < floor) continue
    const score = (logits[v]! - logits[best]!) / temperature + gumbel(o.seed.data[r]!, o.positions.data[r]!, v)
    if (score > highest) [winner, highest] = [v, score]
  }
  return winner
}

/** The smallest logit that is kept. */
function keepFrom(
  logits: number[],
  max: number,
  temperature: number,
  topK: number,
  topP: number,
  minP: number,
): number {
  const falling = [...logits].sort((a, b) => b - a)
  let floor = Number.NEGATIVE_INFINITY
  if (topK > 0 && topK < falling.length) floor = falling[topK - 1]!
  const kept = falling.filter((v) => v >= floor)
  const probability = (v: number) => Math.exp((v - max) / temperature)
  if (topP < 1) {
    const total = kept.reduce((sum, v) => sum + probability(v), 0)
    let sum = 0
    for (const v of kept) {
      sum += probability(v)
      if (sum >= topP * total) {
        floor = v
        break
      }
    }
  }
  if (minP > 0) floor = Math.max(floor, max + temperature * Math.log(minP))
  return Math.min(floor, max)
}

const gumbel = (seed: number, position: number, token: number): number =>
  -Math.log(-Math.log(uniform(seed, position, token)))

/** (h + ½) / 2³² of h = 24 high bits of a mix of three words: in (0, 1), never 0 or 1 in f32. */
function uniform(seed: number, position: number, token: number): number {
  const h = mix(mix(mix(seed ^ 0x9e3779b9) ^ position) ^ token)
  return ((h >>> 8) + 0.5) / 16777216
}

/** Finaliser of a 32-bit hash with full avalanche (Wellons, `lowbias32`, 2018). */
function mix(value: number): number {
  let x = value >>> 0
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad)
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97)
  return (x ^ (x >>> 15)) >>> 0
}
