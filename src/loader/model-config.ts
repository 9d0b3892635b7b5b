// What a model is, in words that depend on neither file format. Both loaders hand their findings to
// `defineModelConfig`, which alone decides what is acceptable, and names the file's own key when it is not.
import { z } from 'zod'
import { fail } from '../../ir/diagnostic.ts'
import type { Dtype } from '../../ir/type.ts'
import type { RopeStyle } from './rope-order.ts'
import { type RopeScaling, ropeScalingSchema, type ScaledRope, scaleRope } from './rope-scaling.ts'

interface RopeConfig {
  /** base of the frequencies, scaled where its rule says so */
  readonly theta: number
  /** elements of a head that rotate, from its first; even, at most headDim (fewer: partial rotary) */
  readonly dims: number
  readonly style: RopeStyle
  /** as the config gives it; `freqFactors` says the same in the form that the rope op takes */
  readonly scaling?: RopeScaling | undefined
  /** divisors of the dims/2 frequencies; absent when all are 1 */
  readonly freqFactors?: Float32Array | undefined
  /** factor of cosine and sine; absent when 1 */
  readonly magnitude?: number | undefined
}

export interface ModelConfig {
  /** `llama`, `mistral`, `qwen2`, `qwen3`, or whatever the file says */
  readonly architecture: string
  readonly name: string
  /** V, tokens */
  readonly vocabSize: number
  /** D, elements of a hidden row */
  readonly hidden: number
  readonly layers: number
  /** F, elements of the feed-forward's inner row */
  readonly ffn: number
  /** H, query heads */
  readonly heads: number
  /** Hkv, key/value heads; divides `heads` */
  readonly kvHeads: number
  /** C, elements of a head; heads · headDim need not be `hidden` */
  readonly headDim: number
  /** tokens that the model was made for */
  readonly contextLength: number
  /** added to the mean square in rms_norm */
  readonly normEps: number
  readonly rope: RopeConfig
  /** tokens that a token sees, itself included; absent: all before it */
  readonly slidingWindow?: number | undefined
  /** the output matrix is the embedding matrix */
  readonly tiedEmbeddings: boolean
  /** q, k and v projections add a bias */
  readonly attentionBias: boolean
  /** the projections of the feed-forward add one; absent: as the weights say */
  readonly mlpBias?: boolean | undefined
  /** q and k heads are normed before rope */
  readonly qkNorm: boolean
  /** `silu` in all known architectures */
  readonly hiddenAct: string
  /** type of most weight elements */
  readonly weightDtype: Dtype
  /** token put before a text, if the model has one */
  readonly bos?: number | undefined
  /** tokens that end a text, the main one first */
  readonly eos: readonly number[]
  /** whether `bos` belongs before every text; absent when the file does not say */
  readonly addBos?: boolean | undefined
}

const within = (low: number, high: number) => {
  const error = `a whole number from ${low} to ${high}`
  return z.int({ error }).min(low, { error }).max(high, { error })
}
const above0 = (error: string) => z.number({ error }).positive({ error })
const token = within(0, 2 ** 31 - 1)
const flag = z.boolean({ error: 'true or false' })
const word = z.string({ error: 'a text' })

const schema = z.object({
  architecture: word.min(1, { error: 'a text' }),
  name: word,
  vocabSize: within(1, 2 ** 24),
  hidden: within(1, 2 ** 20),
  layers: within(1, 4096),
  ffn: within(1, 2 ** 24),
  heads: within(1, 2 ** 16),
  kvHeads: within(1, 2 ** 16),
  /** absent: hidden / heads */
  headDim: within(1, 2 ** 16).optional(),
  contextLength: within(1, 2 ** 31 - 1),
  normEps: above0('a number above 0').max(1, { error: 'a number up to 1' }),
  ropeTheta: above0('a finite number above 0'),
  /** absent: the whole head, or `ropePart` of it */
  ropeDims: within(2, 2 ** 16).optional(),
  ropePart: above0('a number above 0').max(1, { error: 'a number up to 1' }).optional(),
  slidingWindow: within(1, 2 ** 31 - 1).optional(),
  tiedEmbeddings: flag,
  attentionBias: flag,
  mlpBias: flag.optional(),
  qkNorm: flag,
  hiddenAct: word,
  bos: token.optional(),
  eos: z.array(token),
  addBos: flag.optional(),
})

/** What a loader found: values not yet checked, under our names. */
export type ConfigFindings = Partial<Record<keyof z.input<typeof schema>, unknown>> & {
  readonly ropeScaling?: Record<string, unknown> | undefined
}

interface ConfigSource {
  /** path of the file that holds the keys */
  readonly file: string
  /** our name → the key in the file */
  readonly keys: Partial<Record<string, string>>
  readonly style: RopeStyle
  readonly weightDtype: Dtype
  /** divisors that the file itself holds */
  readonly freqFactors?: Float32Array | undefined
  /** tokens of the longest text, for scalings that depend on it; default: what the model is loaded for */
  readonly context?: number | undefined
}

export function defineModelConfig(findings: ConfigFindings, source: ConfigSource): ModelConfig {
  const { ropeScaling, ...rest } = findings
  const parsed = schema.safeParse(rest)
  const refuse = (field: string, expected: string, got: unknown): never =>
    fail({
      code: 'bad-config',
      message:
        got === undefined ? 'the model description lacks a key' : 'the model description has an impossible value',
      facts: [
        ['file', source.file],
        ['key', source.keys[field] ?? field],
        ['expected', expected],
        ['got', got === undefined ? 'nothing' : print(got)],
        ...(typeof rest.architecture === 'string' ? [['for', `architecture ${rest.architecture}`] as const] : []),
      ],
    })
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0]!
    return refuse(String(path[0]), message, rest[path[0] as keyof typeof rest])
  }
  const found = parsed.data
  const { vocabSize, hidden, heads, kvHeads, ropeTheta: theta, ropeDims, ropePart = 1, ...same } = found
  if (found.headDim === undefined && hidden % heads !== 0)
    refuse('heads', `a divisor of the ${hidden} of a hidden row`, heads)
  const headDim = found.headDim ?? hidden / heads
  const dims = ropeDims ?? Math.floor(headDim * ropePart)

  let scaling: RopeScaling | undefined
  if (ropeScaling) {
    const checked = ropeScalingSchema.safeParse(ropeScaling)
    if (!checked.success) {
      const { path, message } = checked.error.issues[0]!
      return refuse('ropeScaling', [...path, message].join(': '), ropeScaling)
    }
    scaling = checked.data
    if (scaling.kind === 'llama3' && scaling.highFreqFactor <= scaling.lowFreqFactor) {
      refuse(
        'ropeScaling',
        `a high_freq_factor above low_freq_factor = ${scaling.lowFreqFactor}`,
        scaling.highFreqFactor,
      )
    }
  }
  if (heads % kvHeads !== 0) refuse('kvHeads', `a divisor of the ${heads} query heads`, kvHeads)
  if (dims % 2 !== 0) refuse('ropeDims', 'an even number', dims)
  if (dims < 2 || dims > headDim) refuse('ropeDims', `2 to ${headDim}, the elements of a head`, dims)
  const { bos, eos } = found
  if (bos !== undefined && bos >= vocabSize) refuse('bos', `a token of the vocabulary of ${vocabSize}`, bos)
  for (const id of eos) if (id >= vocabSize) refuse('eos', `a token of the vocabulary of ${vocabSize}`, id)

  const context = source.context ?? defaultContext(found.contextLength)
  const scaled: ScaledRope = scaling ? scaleRope(scaling, theta, dims, context) : { theta }
  if (!Number.isFinite(scaled.theta)) refuse('ropeScaling', 'a finite base of the frequencies', ropeScaling)
  const factors = timesEach(source.freqFactors, scaled.divisors)
  if (factors && factors.length !== dims / 2) refuse('freqFactors', `${dims / 2} divisors`, `${factors.length}`)
  if (factors?.some((factor) => !(factor > 0 && Number.isFinite(factor)))) {
    refuse(
      'freqFactors',
      'finite divisors above 0',
      factors.find((factor) => !(factor > 0 && Number.isFinite(factor))),
    )
  }
  return {
    ...same,
    vocabSize,
    hidden,
    heads,
    kvHeads,
    headDim,
    rope: {
      theta: scaled.theta,
      dims,
      style: source.style,
      scaling,
      freqFactors: factors,
      ...(scaled.magnitude === undefined ? {} : { magnitude: scaled.magnitude }),
    },
    weightDtype: source.weightDtype,
  }
}

/** The tokens that a model is loaded for where nothing else was asked for: its own, but no cache for more than 8192. */
export const defaultContext = (contextLength: number): number => Math.min(contextLength, 8192)

/** Divisors of both, one that is absent counting as 1. */
function timesEach(a: Float32Array | undefined, b: Float32Array | undefined): Float32Array | undefined {
  return a && b && a.length === b.length ? a.map((divisor, i) => divisor * b[i]!) : (a ?? b)
}

const print = (value: unknown): string =>
  typeof value === 'bigint' || typeof value === 'number'
    ? `${value}`
    : (JSON.stringify(value)?.slice(0, 200) ?? String(value))
