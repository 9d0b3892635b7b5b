// How the angles of a rotary embedding are stretched, so that a model reads more tokens than it was trained on.
//
// Pair i of dims/2 turns by position · theta^(−2i/dims) / divisor[i], and its cosine and sine are multiplied by a magnitude.
// A Hugging Face config gives parameters of a rule, a GGUF file parameters, or the divisors themselves as a tensor.
import { z } from 'zod'

const above0 = z.number({ error: 'a number above 0' }).positive({ error: 'a number above 0' })
const divisors = z.array(above0, { error: 'a list of numbers above 0' })

/** A rule, and its parameters. */
export type RopeScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      /** tokens that the model was trained on before it was stretched; so below */
      readonly originalContext: number
    }
  | { readonly kind: 'dynamic'; readonly factor: number; readonly originalContext: number }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      readonly originalContext: number
      /** pairs that turn more often than this within the original context keep their frequency … */
      readonly betaFast: number
      /** … and those that turn less often are slowed by the factor */
      readonly betaSlow: number
      /** the bounds are whole pairs */
      readonly truncate: boolean
      /** share of the blend between both that is applied; 0: all pairs are slowed alike */
      readonly extrapolation: number
      readonly magnitude: number
    }
  | {
      readonly kind: 'longrope'
      /** divisors for texts within the original context, and for longer ones */
      readonly short: readonly number[]
      readonly long: readonly number[]
      readonly originalContext: number
      readonly magnitude: number
    }

/** The same, checked: readers of formats fill it from their files. */
export const ropeScalingSchema: z.ZodType<RopeScaling> = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('linear'), factor: above0 }),
  z.object({
    kind: z.literal('llama3'),
    factor: above0,
    lowFreqFactor: above0,
    highFreqFactor: above0,
    originalContext: above0,
  }),
  z.object({
    kind: z.literal('dynamic'),
    factor: above0.min(1, { error: 'a number from 1' }),
    originalContext: above0,
  }),
  z.object({
    kind: z.literal('yarn'),
    factor: above0,
    originalContext: above0,
    betaFast: above0.default(32),
    betaSlow: above0.default(1),
    truncate: z.boolean({ error: 'true or false' }).default(true),
    extrapolation: z.number({ error: 'a number from 0 to 1' }).min(0).max(1).default(1),
    magnitude: above0,
  }),
  z.object({
    kind: z.literal('longrope'),
    short: divisors,
    long: divisors,
    originalContext: above0,
    magnitude: above0,
  }),
])

export interface ScaledRope {
  readonly theta: number
  /** f32[dims/2]; absent when all are 1 */
  readonly divisors?: Float32Array
  /** absent when 1 */
  readonly magnitude?: number
}

/** `context`: most tokens of a text, which some rules depend on. */
export function scaleRope(scaling: RopeScaling, theta: number, dims: number, context: number): ScaledRope {
  switch (scaling.kind) {
    case 'linear':
      return { theta, divisors: new Float32Array(dims / 2).fill(scaling.factor) }
    case 'llama3':
      return { theta, divisors: llama3(scaling, theta, dims) }
    case 'dynamic':
      return { theta: dynamicBase(scaling, theta, dims, context) }
    case 'yarn':
      return { theta, divisors: yarn(scaling, theta, dims), ...magnitude(scaling) }
    case 'longrope': {
      const chosen = context > scaling.originalContext ? scaling.long : scaling.short
      return { theta, divisors: Float32Array.from(chosen), ...magnitude(scaling) }
    }
  }
}

const magnitude = ({ magnitude }: { readonly magnitude: number }) => (magnitude === 1 ? {} : { magnitude })

/** Meta's Llama 3.1 reference code: low frequencies are slowed, high ones not, those between in between. */
function llama3(
  { factor, lowFreqFactor, highFreqFactor, originalContext }: RopeScaling & { kind: 'llama3' },
  theta: number,
  dims: number,
): Float32Array {
  return Float32Array.from({ length: dims / 2 }, (_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / dims) // tokens per turn
    const turns = originalContext / wavelength
    if (turns > highFreqFactor) return 1
    if (turns < lowFreqFactor) return factor
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}

/**
 * Dynamic NTK (bloc97 and emozilla, 2023): a larger base for a text of more than `originalContext` tokens. transformers makes
 * a new one whenever a text grows; keys in the cache keep the old one. Here a model has one: that of the longest text that
 * its context holds, and the original base where that is no more than the original context.
 */
function dynamicBase(
  { factor, originalContext }: RopeScaling & { kind: 'dynamic' },
  theta: number,
  dims: number,
  context: number,
): number {
  const stretch = (factor * Math.max(context, originalContext)) / originalContext - (factor - 1)
  return theta * stretch ** (dims / (dims - 2))
}

/** Peng et al., YaRN, 2023, section 3.2: the pairs between the bounds blend both frequencies. */
function yarn(
  { factor, originalContext, betaFast, betaSlow, truncate, extrapolation }: RopeScaling & { kind: 'yarn' },
  theta: number,
  dims: number,
): Float32Array {
  /** the pair that makes so many turns within the original context */
  const pairOf = (turns: number) => (dims * Math.log(originalContext / (turns * 2 * Math.PI))) / (2 * Math.log(theta))
  const [first, last] = [pairOf(betaFast), pairOf(betaSlow)]
  const low = Math.max(0, truncate ? Math.floor(first) : first)
  const high = Math.min(dims - 1, truncate ? Math.ceil(last) : last)
  const width = high === low ? 0.001 : high - low
  return Float32Array.from({ length: dims / 2 }, (_, i) => {
    const slowed = Math.min(1, Math.max(0, (i - low) / width))
    const kept = (1 - slowed) * extrapolation
    return 1 / ((1 - kept) / factor + kept)
  })
}

/** YaRN's magnitude √(1/t) = 0.1 · ln(factor) + 1, and its generalisation by a weight (DeepSeek-V2). */
export const yarnMagnitude = (factor: number, weight = 1): number =>
  factor <= 1 ? 1 : 0.1 * weight * Math.log(factor) + 1
