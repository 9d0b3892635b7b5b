// The step that every decoder-only model shares: its inputs, its paged caches, its head and its sampler. Front ends fill in
// the layers.
import { GraphBuilder } from '../../ir/builder.ts'
import { fail } from '../../ir/diagnostic.ts'
import type { Graph } from '../../ir/graph.ts'
import {
  causalMask,
  embed,
  frequencyPenalty,
  gatherRows,
  kvAppend,
  kvRead,
  logitBias,
  matmul,
  publish,
  pvMatmul,
  qkMatmul,
  repeatKv,
  repeatPenalty,
  reshape,
  rmsNorm,
  rope,
  sample,
  scale,
  softmax,
} from '../../ir/ops/index.ts'
import { type CacheType, type FloatType, isFloat, tensor } from '../../ir/type.ts'
import type { Value } from '../../ir/value.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import { requireWeight, type WeightIndex, type WeightKind } from '../loader/weight-index.ts'
import type { ArchitectureFacts } from './facts.ts'

/**
 * What a step returns besides the caches:
 * - `none`: nothing, a chunk of a prompt that is not its last
 * - `logits`: logits f32[R, V] of the last token of each request
 * - `all-logits`: logits f32[T, V] of every token
 * - `token`: logits and the sampled token i32[R]
 * - `next`: the same for a step of one token each (T is R), and what the step that follows needs; the token joins the ring
 *   that the host reads
 */
export type StepResult = 'none' | 'logits' | 'all-logits' | 'token' | 'next'

/** Steps that the host may be behind the device. */
export const ringSlots = 4

/** Tokens whose logits a request may change. */
export const biasSlots = 256

export interface StepOptions {
  readonly result: StepResult
  /** dtype of activations between kernels */
  readonly activations: FloatType
  readonly kvDtype: CacheType
  /** tokens a page */
  readonly pageSize: number
}

/** One architecture: how its layers turn the residual stream. */
export interface Architecture extends ArchitectureFacts {
  /** x is the residual stream [T, D] before layer `layer`; returns it behind the layer */
  readonly layer: (step: Step, x: Value, layer: number) => Value
}

/** Name of the weight that we compute ourselves: divisors of the rotary frequencies, f32[dims / 2]. */
export const ropeFactorsWeight = 'rope_freqs.weight'

export class Step {
  readonly config: ModelConfig
  readonly options: StepOptions
  readonly graph: GraphBuilder
  readonly #weights: WeightIndex
  /** T, which is R where every request has one token */
  readonly #T: 'T' | 'R'
  /** i32[T] */
  readonly positions: Value
  readonly #tokens: Value
  readonly #seq: Value
  readonly #pageTable: Value

  constructor(config: ModelConfig, weights: WeightIndex, options: StepOptions) {
    this.config = config
    this.options = options
    this.#weights = weights
    this.graph = new GraphBuilder(`step_${options.result.replace('-', '_')}`)
    this.#T = options.result === 'next' ? 'R' : 'T'
    this.#tokens = this.graph.input('tokens', tensor('i32', [this.#T]))
    this.positions = this.graph.input('positions', tensor('i32', [this.#T]))
    this.#seq = this.graph.input('seq', tensor('i32', [this.#T]))
    this.#pageTable = this.graph.input('page_table', tensor('i32', ['R', 'M']))
  }

  /** A weight of the checkpoint, checked against the shape that its role asks for. */
  weight(name: string, kind: WeightKind, shape: readonly number[]): Value {
    const entry = requireWeight(this.#weights, name, kind, shape)
    return this.graph.weight(name, entry.dtype, entry.shape)
  }

  /** x · wᵀ (+ bias where the checkpoint has one): x [T, K] → [T, out] */
  linear(x: Value, name: string, out: number): Value {
    const w = this.weight(`${name}.weight`, 'matrix', [out, x.type.shape[1] as number])
    const bias = this.#weights.get(`${name}.bias`) ? this.weight(`${name}.bias`, 'float', [out]) : undefined
    return matmul({ x, w, bias }, {}, shortName(name))
  }

  /** RMSNorm over the last dim. */
  norm(x: Value, name: string): Value {
    const w = this.weight(`${name}.weight`, 'float', [x.type.shape.at(-1) as number])
    return rmsNorm({ x, w }, { eps: this.config.normEps }, shortName(name))
  }

  /** [T, heads · C] → [T, heads, C] */
  heads(x: Value, heads: number): Value {
    return reshape({ x }, { shape: [this.#T, heads, this.config.headDim] })
  }

  rotate(x: Value, name: string): Value {
    const { theta, dims, style, freqFactors, magnitude } = this.config.rope
    const factors = freqFactors && this.graph.weight(ropeFactorsWeight, 'f32', [dims / 2])
    return rope(
      { x, positions: this.positions, factors },
      { theta, dims, style, ...(magnitude === undefined ? {} : { magnitude }) },
      name,
    )
  }

  /**
   * Grouped-query attention of q [T, H, C] over the cache after k and v [T, Hkv, C] have been appended: → [T, H · C].
   * Vaswani et al., 2017; Ainslie et al., 2023. With a window: Jiang et al., Mistral 7B, 2023.
   */
  attend(q: Value, k: Value, v: Value, layer: number, window = this.config.slidingWindow): Value {
    const { heads, kvHeads, headDim } = this.config
    const { kvDtype, pageSize, activations } = this.options
    const where = { positions: this.positions, seq: this.#seq, page_table: this.#pageTable }
    const groups = heads / kvHeads
    if (kvDtype === 'q8_0' && headDim % 32 !== 0)
      fail({
        code: 'bad-option',
        message: `a q8_0 cache keeps blocks of 32 channels, heads of this model have ${headDim}`,
        help: 'choose f8 or f16 for kvDtype',
      })
    const cache = (name: string) =>
      this.graph.state(`${name}_cache.${layer}`, kvDtype, ['P', kvHeads, pageSize, headDim])
    const kCache = kvAppend({ cache: cache('k'), x: k, ...where }, {}, 'k_append')
    const vCache = kvAppend({ cache: cache('v'), x: v, ...where }, {}, 'v_append')
    this.graph.output(`k_cache.${layer}`, kCache)
    this.graph.output(`v_cache.${layer}`, vCache)
    const read = (state: Value) =>
      repeatKv(
        { x: kvRead({ cache: state, page_table: this.#pageTable }, { dtype: isFloat(kvDtype) ? kvDtype : 'f32' }) },
        { groups },
      ) // [R, L, H, C]
    const scores = qkMatmul({ q, k: read(kCache), seq: this.#seq }) // [T, H, L]
    const masked = causalMask(
      { x: scale({ x: scores }, { by: headDim ** -0.5 }), positions: this.positions },
      { window },
    )
    const mixed = pvMatmul({ p: softmax({ x: masked }), v: read(vCache), seq: this.#seq }, { dtype: activations }) // [T, H, C]
    return reshape({ x: mixed }, { shape: [this.#T, heads * headDim] })
  }

  /** The whole step: embedding, layers, head, sampler. */
  build(architecture: Architecture): Graph {
    const { config, options, graph } = this
    const table = this.weight('token_embd.weight', 'matrix', [config.vocabSize, config.hidden])
    let x = embed({ ids: this.#tokens, table }, { dtype: options.activations }, 'token_embd') // [T, D]
    for (let layer = 0; layer < config.layers; layer++) {
      x = graph.within(`blk.${layer}`, () => architecture.layer(this, x, layer))
    }
    if (options.result !== 'logits' && options.result !== 'all-logits') this.#remember()
    if (options.result !== 'none') this.#head(x, table)
    return graph.build()
  }

  /** The tokens of this step join the history that the repetition penalty looks at. */
  #remember(): void {
    const { pageSize } = this.options
    const history = this.graph.state('history', 'i32', ['P', 1, pageSize, 1])
    const x = reshape({ x: this.#tokens }, { shape: [this.#T, 1, 1] })
    const where = { positions: this.positions, seq: this.#seq, page_table: this.#pageTable }
    this.graph.output('history', kvAppend({ cache: history, x, ...where }, {}, 'history'))
  }

  #head(x: Value, table: Value): void {
    const { config, graph } = this
    const { result } = this.options
    const every = result === 'all-logits' || result === 'next'
    const last = every ? undefined : graph.input('last', tensor('i32', ['R'])) // row of each request's last token
    const rows = last ? gatherRows({ x, rows: last }, {}, 'last') : x // [R, D]
    const w =
      this.#weights.get('output.weight') || !config.tiedEmbeddings
        ? this.weight('output.weight', 'matrix', [config.vocabSize, config.hidden])
        : table
    const logits = matmul({ x: this.norm(rows, 'output_norm'), w }, { dtype: 'f32' }, 'output') // [R, V]
    graph.output('logits', logits)
    if (result === 'token') this.#sample(logits, gatherRows({ x: this.positions, rows: last! }))
    if (result === 'next') this.#publish(this.#sample(logits, this.positions))
  }

  #sample(logits: Value, positions: Value): Value {
    const { graph } = this
    const per = (name: string, dtype: 'f32' | 'i32' | 'u32') => graph.input(name, tensor(dtype, ['R']))
    const over = { history: graph.outputNamed('history'), positions, page_table: this.#pageTable }
    const repeated = repeatPenalty({
      ...{ logits, ...over },
      penalty: per('repeat_penalty', 'f32'),
      window: per('repeat_last_n', 'i32'),
    })
    const counted = frequencyPenalty({
      ...{ logits: repeated, ...over },
      from: per('generated_from', 'i32'),
      frequency: per('frequency_penalty', 'f32'),
      presence: per('presence_penalty', 'f32'),
    })
    const biased = logitBias({
      logits: counted,
      ids: graph.input('bias_ids', tensor('i32', ['R', biasSlots])),
      values: graph.input('bias_values', tensor('f32', ['R', biasSlots])),
    })
    const token = sample({
      logits: biased,
      temperature: per('temperature', 'f32'),
      top_k: per('top_k', 'i32'),
      top_p: per('top_p', 'f32'),
      min_p: per('min_p', 'f32'),
      seed: per('seed', 'u32'),
      positions,
    })
    graph.output('token', token)
    return token
  }

  /** What the next step and the host get of this one. */
  #publish(token: Value): void {
    const { graph, positions } = this
    const ring = graph.state('ring', 'i32', [ringSlots, 'R', 2])
    const step = graph.input('step', tensor('i32', [1]))
    const { published, next_positions, next_step } = publish({ ring, token, positions, step })
    graph.output('ring', published)
    graph.output('next_positions', next_positions)
    graph.output('next_step', next_step)
  }
}

/** `blk.3.attn_q` → `attn_q`: the layer is the scope's. */
const shortName = (name: string): string => name.replace(/^blk\.\d+\./, '')
