// One small graph for each kernel in each form that matters: what is compiled ahead of time for every target, measured in
// docs/kernel-resources.md, and run against the reference by `rocmforge doctor`. Shapes are those of an 8B Llama unless a
// kernel's form depends on others. One table, and so a long file.
import { GraphBuilder } from '../../ir/builder.ts'
import type { Graph } from '../../ir/graph.ts'
import {
  add,
  addRmsNorm,
  argmax,
  attention,
  causalMask,
  contiguous,
  embed,
  embedAppend,
  frequencyPenalty,
  gatherRows,
  gelu,
  increment,
  kvAppend,
  kvRead,
  layerNorm,
  logitBias,
  matmul,
  matmulAdd,
  matmulSwiglu,
  mul,
  penalisedPublish,
  penalisedSample,
  publish,
  pvMatmul,
  qkMatmul,
  repeatKv,
  repeatPenalty,
  rmsNorm,
  rmsNormMatmul,
  rmsNormMatmulSwiglu,
  rope,
  ropeAttention,
  ropeKvAppend,
  sample,
  scale,
  scaleMaskSoftmax,
  sigmoid,
  silu,
  softcap,
  softmax,
  swiglu,
  tanh,
  topk,
  transpose,
} from '../../ir/ops/index.ts'
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import { type Bindings, type Dim, type Dtype, type FloatType, tensor } from '../../ir/type.ts'
import type { Value } from '../../ir/value.ts'

export interface CatalogEntry {
  /** kernel and form, unique: `gemv q4_k` */
  readonly name: string
  /** a kernel in the form that most models run; all of these together are every kernel */
  readonly main: boolean
  readonly graph: Graph
}

/** Dims of the model whose kernels these are. */
interface CatalogShape {
  readonly hidden: number
  readonly ffn: number
  readonly heads: number
  readonly kvHeads: number
  readonly channels: number
  readonly vocab: number
  readonly page: number
}

/** Llama 3 8B. */
const eightBillion: CatalogShape = {
  hidden: 4096,
  ffn: 14336,
  heads: 32,
  kvHeads: 8,
  channels: 128,
  vocab: 128256,
  page: 16,
}

/** Small enough for the reference executor to take milliseconds. */
export const smallShape: CatalogShape = {
  hidden: 256,
  ffn: 512,
  heads: 4,
  kvHeads: 2,
  channels: 64,
  vocab: 512,
  page: 16,
}

/** Largest values of the symbols that kernels of the catalog are planned for. */
export const catalogLimits: Bindings = { T: 256, R: 4, L: 4096, P: 1024, M: 256 }

const quantTypes = Object.keys(quantFormats) as QuantType[]
const floats: readonly FloatType[] = ['f32', 'f16', 'bf16']
const weightTypes: readonly Dtype[] = [...floats, ...quantTypes]
/** The forms that an epilogue is tried with: a float, a plain block and a block of blocks. */
const mainWeightTypes: readonly Dtype[] = ['f16', 'q8_0', 'q4_k']

type Build = (g: GraphBuilder) => Value | Record<string, Value>

/** Forms of a kernel beside its main ones: other dtypes, other shapes. */
const others = [
  /^gem[mv] (f32|bf16|q4_0|q4_1|q5_0|q5_1|q5_k|q6_k)$/,
  /^gem[mv](_add|_swiglu)? .*(activations|tokens)/,
  /^gem[mv]_(add|swiglu) (f16|q8_0)$/,
  /^rms_norm_gemv (f32|f16|q4_0|q4_1|q5_0|q5_1|q5_k|q6_k)$/,
  /^rms_norm_gemv_swiglu (f16|q8_0|q4_k)$/,
  /^rms_norm_gemv .*tokens/,
  /^embed (bf16|q4_0|q4_1|q5_0|q5_1|q5_k)$/,
  /^(rms_norm|scale_mask_softmax|silu|add|swiglu) (f16|bf16)$/,
  /(few columns|f32 cache|bf16 cache|64 channels|256 channels|one token, bf16)/,
  /^(rope_attention, 32 tokens|attention, eight tokens|attention, one token, (q8_0|f8))/,
  /^(add f32, bias|gelu f32, tanh)$/,
]

function entry(name: string, build: Build): CatalogEntry {
  const g = new GraphBuilder('kernel')
  const made = build(g)
  const outputs = 'id' in made && typeof made.id === 'string' ? { y: made as Value } : (made as Record<string, Value>)
  for (const [output, value] of Object.entries(outputs)) g.output(output, value)
  return { name, main: !others.some((form) => form.test(name)), graph: g.build() }
}

/** Every kernel of the project, each in its main forms. */
export function kernelCatalog(shape: CatalogShape = eightBillion): CatalogEntry[] {
  return [
    ...matmuls(shape),
    ...rows(shape),
    ...elementwise(shape),
    ...attentions(shape),
    ...copies(shape),
    ...sampling(shape),
  ]
}

// ---- matmul --------------------------------------------------------------------------------------------------------

function matmuls({ hidden: D, ffn: F }: CatalogShape): CatalogEntry[] {
  const eps = 1e-5
  const x = (g: GraphBuilder, T: Dim, K: number, dtype: Dtype = 'f32') => g.input('x', tensor(dtype, [T, K]))
  const forms: [string, Dim][] = [
    ['gemv', 1],
    ['gemm', 'T'],
  ]
  return forms
    .flatMap(([kernel, T]) => [
      ...weightTypes.map((w) => entry(`${kernel} ${w}`, (g) => matmul({ x: x(g, T, D), w: g.weight('w', w, [D, D]) }))),
      ...(['f16', 'bf16'] as const).map((dtype) =>
        entry(`${kernel} ${dtype}, ${dtype} activations and bias`, (g) =>
          matmul({ x: x(g, T, D, dtype), w: g.weight('w', dtype, [D, D]), bias: g.weight('bias', dtype, [D]) }),
        ),
      ),
      ...mainWeightTypes.flatMap((w) => [
        entry(`${kernel}_add ${w}`, (g) =>
          matmulAdd({
            x: x(g, T, F),
            w: g.weight('w', w, [D, F]),
            residual: g.input('residual', tensor('f32', [T, D])),
          }),
        ),
        entry(`${kernel}_swiglu ${w}`, (g) => matmulSwiglu({ x: x(g, T, D), w: g.weight('w', w, [2 * F, D]) })),
      ]),
      entry(`${kernel} f16, 3 tokens`, (g) => matmul({ x: x(g, T === 1 ? 3 : T, D), w: g.weight('w', 'f16', [D, D]) })),
    ])
    .concat(
      weightTypes.map((w) =>
        entry(`rms_norm_gemv ${w}`, (g) =>
          rmsNormMatmul({ x: x(g, 1, D), norm: g.weight('norm', 'f32', [D]), w: g.weight('w', w, [D, D]) }, { eps }),
        ),
      ),
      (['bf16', ...mainWeightTypes] as const).map((w) =>
        entry(`rms_norm_gemv_swiglu ${w}`, (g) =>
          rmsNormMatmulSwiglu(
            { x: x(g, 1, D), norm: g.weight('norm', 'f32', [D]), w: g.weight('w', w, [2 * F, D]) },
            { eps },
          ),
        ),
      ),
      (['q8_0', 'q4_k'] as const).map((w) =>
        entry(`rms_norm_gemv ${w}, 8 tokens`, (g) =>
          rmsNormMatmul(
            { x: x(g, 8, D, 'bf16'), norm: g.weight('norm', 'f32', [D]), w: g.weight('w', w, [D, D]) },
            { eps },
          ),
        ),
      ),
      eightTokens({ hidden: D, ffn: F }),
      manyTokens({ hidden: D, ffn: F }),
    )
    .filter(({ name }, i, all) => all.findIndex((other) => other.name === name) === i)
}

/** Where matrix instructions take 16-bit weights as they come. */
function eightTokens({ hidden: D, ffn: F }: Pick<CatalogShape, 'hidden' | 'ffn'>): CatalogEntry[] {
  const x = (g: GraphBuilder, K: number) => g.input('x', tensor('bf16', [8, K]))
  const w = (g: GraphBuilder, N: number, K: number) => g.weight('w', 'bf16', [N, K])
  const norm = (g: GraphBuilder) => g.weight('norm', 'bf16', [D])
  const residual = (g: GraphBuilder) => g.input('residual', tensor('bf16', [8, D]))
  const eps = 1e-5
  return [
    entry('gemv_matrix', (g) => matmul({ x: x(g, D), w: w(g, D, D) })),
    entry('gemv_matrix_add', (g) => matmulAdd({ x: x(g, F), w: w(g, D, F), residual: residual(g) })),
    entry('gemv_matrix_swiglu', (g) => matmulSwiglu({ x: x(g, D), w: w(g, 2 * F, D) })),
    entry('rms_norm_gemv_matrix', (g) => rmsNormMatmul({ x: x(g, D), norm: norm(g), w: w(g, D, D) }, { eps })),
    entry('rms_norm_gemv_matrix_swiglu', (g) =>
      rmsNormMatmulSwiglu({ x: x(g, D), norm: norm(g), w: w(g, 2 * F, D) }, { eps }),
    ),
  ]
}

/** Where matrix units take 16-bit elements, dequantised ones too. */
function manyTokens({ hidden: D, ffn: F }: Pick<CatalogShape, 'hidden' | 'ffn'>): CatalogEntry[] {
  const x = (g: GraphBuilder, K: number, dtype: FloatType) => g.input('x', tensor(dtype, ['T', K]))
  const residual = (g: GraphBuilder) => g.input('residual', tensor('f32', ['T', D]))
  return [
    ...(['q8_0', 'q4_k'] as const).map((w) =>
      entry(`gemm_matrix ${w}`, (g) => matmul({ x: x(g, D, 'f16'), w: g.weight('w', w, [D, D]) }, { dtype: 'f32' })),
    ),
    entry('gemm_matrix_add bf16', (g) =>
      matmulAdd({ x: x(g, F, 'bf16'), w: g.weight('w', 'bf16', [D, F]), residual: residual(g) }),
    ),
    entry('gemm_matrix_swiglu bf16', (g) => matmulSwiglu({ x: x(g, D, 'bf16'), w: g.weight('w', 'bf16', [2 * F, D]) })),
    entry('gemm_matrix_swiglu bf16, f32 activations', (g) =>
      matmulSwiglu({ x: x(g, D, 'f32'), w: g.weight('w', 'bf16', [2 * F, D]) }),
    ),
  ]
}

// ---- norms, softmax ------------------------------------------------------------------------------------------------

function rows({ hidden: D, heads: H }: CatalogShape): CatalogEntry[] {
  const eps = 1e-5
  return [
    ...floats.map((dtype) =>
      entry(`rms_norm ${dtype}`, (g) =>
        rmsNorm({ x: g.input('x', tensor(dtype, ['T', D])), w: g.weight('w', dtype, [D]) }, { eps }),
      ),
    ),
    entry('rms_norm f32, few columns', (g) =>
      rmsNorm({ x: g.input('x', tensor('f32', ['T', 96])), w: g.weight('w', 'f32', [96]) }, { eps }),
    ),
    entry('layer_norm f32', (g) =>
      layerNorm(
        { x: g.input('x', tensor('f32', ['T', D])), w: g.weight('w', 'f32', [D]), bias: g.weight('bias', 'f32', [D]) },
        { eps },
      ),
    ),
    ...(['f32', 'bf16'] as const).map((dtype) =>
      entry(`add_rms_norm ${dtype}`, (g) =>
        addRmsNorm(
          {
            a: g.input('a', tensor(dtype, ['T', D])),
            b: g.input('b', tensor(dtype, ['T', D])),
            w: g.weight('w', 'f32', [D]),
          },
          { eps },
        ),
      ),
    ),
    entry('softmax f32', (g) => softmax({ x: g.input('x', tensor('f32', ['T', H, 'L'])) })),
    ...floats.map((dtype) =>
      entry(`scale_mask_softmax ${dtype}`, (g) =>
        scaleMaskSoftmax(
          { x: g.input('x', tensor(dtype, ['T', H, 'L'])), positions: g.input('positions', tensor('i32', ['T'])) },
          { by: 0.125 },
        ),
      ),
    ),
  ]
}

// ---- elementwise ---------------------------------------------------------------------------------------------------

function elementwise({ hidden: D, ffn: F, heads: H }: CatalogShape): CatalogEntry[] {
  const x = (g: GraphBuilder, dtype: Dtype = 'f32', cols = D, name = 'x') => g.input(name, tensor(dtype, ['T', cols]))
  return [
    entry('scale f32', (g) => scale({ x: x(g) }, { by: 0.5 })),
    ...floats.map((dtype) => entry(`silu ${dtype}`, (g) => silu({ x: x(g, dtype, F) }))),
    entry('sigmoid f32', (g) => sigmoid({ x: x(g) })),
    entry('tanh f32', (g) => tanh({ x: x(g) })),
    entry('softcap f32', (g) => softcap({ x: x(g) }, { cap: 30 })),
    entry('gelu f32', (g) => gelu({ x: x(g, 'f32', F) })),
    entry('gelu f32, tanh', (g) => gelu({ x: x(g, 'f32', F) }, { approximate: 'tanh' })),
    ...floats.map((dtype) => entry(`add ${dtype}`, (g) => add({ a: x(g, dtype, D, 'a'), b: x(g, dtype, D, 'b') }))),
    entry('add f32, bias', (g) => add({ a: x(g, 'f32', D, 'a'), b: g.weight('b', 'f32', [D]) })),
    entry('mul f32', (g) => mul({ a: x(g, 'f32', F, 'a'), b: x(g, 'f32', F, 'b') })),
    ...floats.map((dtype) =>
      entry(`swiglu ${dtype}`, (g) => swiglu({ gate: x(g, dtype, F, 'gate'), up: x(g, dtype, F, 'up') })),
    ),
    entry('causal_mask f32', (g) =>
      causalMask({
        x: g.input('x', tensor('f32', ['T', H, 'L'])),
        positions: g.input('positions', tensor('i32', ['T'])),
      }),
    ),
    entry('increment', (g) => increment({ x: g.input('x', tensor('i32', ['R'])) })),
  ]
}

// ---- attention and its cache ---------------------------------------------------------------------------------------

function attentions({ heads: H, kvHeads, channels: C, page }: CatalogShape): CatalogEntry[] {
  const cache = (g: GraphBuilder, name: string, dtype: Dtype, c = C) => g.state(name, dtype, ['P', kvHeads, page, c])
  const step = (g: GraphBuilder, T: Dim) => ({
    positions: g.input('positions', tensor('i32', [T])),
    seq: g.input('seq', tensor('i32', [T])),
    page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
  })
  const attend = (name: string, T: Dim, kv: Dtype, x: Dtype = 'f32', c = C, y: FloatType = 'f32') =>
    entry(name, (g) =>
      attention(
        {
          q: g.input('q', tensor(x, [T, H, c])),
          k_cache: cache(g, 'k_cache', kv, c),
          v_cache: cache(g, 'v_cache', kv, c),
          ...step(g, T),
        },
        { scale: c ** -0.5, dtype: y },
      ),
    )
  const rotateAttend = (name: string, T: number, kv: Dtype, x: Dtype = 'f32', norm?: FloatType) =>
    entry(name, (g) => {
      const operands = {
        q: g.input('q', tensor(x, [T, H, C])),
        k: g.input('k', tensor(x, [T, kvHeads, C])),
        v: g.input('v', tensor(x, [T, kvHeads, C])),
        k_cache: cache(g, 'k_cache', kv),
        v_cache: cache(g, 'v_cache', kv),
        positions: g.input('positions', tensor('i32', [T])),
        seq: g.input('seq', tensor('i32', [T])),
        page_table: g.input('page_table', tensor('i32', [T, 'M'])),
        q_norm: norm && g.weight('q_norm', norm, [C]),
        k_norm: norm && g.weight('k_norm', norm, [C]),
      }
      const attrs = { theta: 500000, dims: C, style: 'half-split', scale: C ** -0.5, eps: norm && 1e-6 } as const
      const { y, k_cache, v_cache } = ropeAttention(operands, attrs)
      return { y, k_appended: k_cache, v_appended: v_cache }
    })
  const rotate = (name: string, kv: Dtype, style: 'half-split' | 'interleaved') =>
    entry(name, (g) => {
      const operands = {
        q: g.input('q', tensor('f32', ['T', H, C])),
        k: g.input('k', tensor('f32', ['T', kvHeads, C])),
        v: g.input('v', tensor('f32', ['T', kvHeads, C])),
        k_cache: cache(g, 'k_cache', kv),
        v_cache: cache(g, 'v_cache', kv),
        ...step(g, 'T'),
      }
      const { q, k_cache, v_cache } = ropeKvAppend(operands, { theta: 500000, dims: C, style })
      return { q_rotated: q, k_appended: k_cache, v_appended: v_cache }
    })
  return [
    ...floats.map((kv) => attend(`attention, one token, ${kv} cache`, 1, kv)),
    attend('attention, eight tokens, f16 cache', 8, 'f16'),
    attend('attention, one token, bf16', 1, 'bf16', 'bf16'),
    attend('attention, one token, 256 channels', 1, 'f16', 'f32', 256),
    ...floats.map((kv) => attend(`attention, many tokens, ${kv} cache`, 'T', kv)),
    attend('attention, many tokens, 256 channels', 'T', 'f16', 'f32', 256),
    attend('attention, many tokens, 64 channels', 'T', 'f16', 'f32', 64),
    attend('attention, many tokens, f16', 'T', 'f16', 'f16', C, 'f16'),
    attend('attention, many tokens, bf16 beside an f16 cache, 64 channels', 'T', 'f16', 'bf16', 64, 'bf16'),
    rotateAttend('rope_attention, one token, f16 cache', 1, 'f16'),
    rotateAttend('rope_attention, one token, bf16', 1, 'bf16', 'bf16'),
    rotateAttend('rope_attention, one token, normed heads', 1, 'f16', 'f32', 'f32'),
    rotateAttend('rope_attention, 32 tokens, f16 cache', 32, 'f16'),
    rotateAttend('rope_attention, one token, q8_0 cache', 1, 'q8_0'),
    rotateAttend('rope_attention, one token, f8 cache', 1, 'f8_e4m3'),
    attend('attention, one token, q8_0 cache', 1, 'q8_0'),
    attend('attention, one token, f8 cache', 1, 'f8_e4m3'),
    attend('attention, many tokens, q8_0 cache', 'T', 'q8_0'),
    rotate('rope_kv_append, f16 cache', 'f16', 'half-split'),
    rotate('rope_kv_append, q8_0 cache', 'q8_0', 'half-split'),
    rotate('rope_kv_append, f8 cache', 'f8_e4m3', 'half-split'),
    rotate('rope_kv_append, bf16 cache, interleaved', 'bf16', 'interleaved'),
    entry('rope f32', (g) =>
      rope(
        { x: g.input('x', tensor('f32', ['T', H, C])), positions: g.input('positions', tensor('i32', ['T'])) },
        { theta: 500000, dims: C, style: 'half-split' },
      ),
    ),
    entry('kv_append, f16 cache', (g) =>
      kvAppend({
        cache: cache(g, 'cache', 'f16'),
        x: g.input('x', tensor('f32', ['T', kvHeads, C])),
        ...step(g, 'T'),
      }),
    ),
    entry('kv_read, f16 cache', (g) =>
      contiguous({
        x: kvRead({ cache: cache(g, 'cache', 'f16'), page_table: g.input('page_table', tensor('i32', ['R', 'M'])) }),
      }),
    ),
    entry('qk_matmul f32', (g) =>
      qkMatmul({
        q: g.input('q', tensor('f32', ['T', H, C])),
        k: repeatKv({ x: g.input('k', tensor('f32', ['R', 'L', kvHeads, C])) }, { groups: H / kvHeads }),
        seq: g.input('seq', tensor('i32', ['T'])),
      }),
    ),
    entry('pv_matmul f32', (g) =>
      pvMatmul({
        p: g.input('p', tensor('f32', ['T', H, 'L'])),
        v: repeatKv({ x: g.input('v', tensor('f32', ['R', 'L', kvHeads, C])) }, { groups: H / kvHeads }),
        seq: g.input('seq', tensor('i32', ['T'])),
      }),
    ),
  ]
}

// ---- copies --------------------------------------------------------------------------------------------------------

function copies({ hidden: D, heads: H, channels: C, vocab: V, page }: CatalogShape): CatalogEntry[] {
  return [
    ...(['f16', 'bf16', ...quantTypes] as const).map((w) =>
      entry(`embed ${w}`, (g) => embed({ ids: g.input('ids', tensor('i32', ['T'])), table: g.weight('w', w, [V, D]) })),
    ),
    entry('embed_append q4_k', (g) => {
      const per = (name: string) => g.input(name, tensor('i32', ['T']))
      return embedAppend({
        ids: per('ids'),
        table: g.weight('w', 'q4_k', [V, D]),
        history: g.state('history', 'i32', ['P', 1, page, 1]),
        positions: per('positions'),
        seq: per('seq'),
        page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
      })
    }),
    entry('gather_rows f32', (g) =>
      gatherRows({ x: g.input('x', tensor('f32', ['T', D])), rows: g.input('rows', tensor('i32', ['R'])) }),
    ),
    entry('contiguous f32, transposed', (g) =>
      contiguous({ x: transpose({ x: g.input('x', tensor('f32', ['T', H, C])) }, { perm: [0, 2, 1] }) }),
    ),
    entry('contiguous f32 to f16', (g) => contiguous({ x: g.input('x', tensor('f32', ['T', D])) }, { dtype: 'f16' })),
  ]
}

// ---- what is done with logits --------------------------------------------------------------------------------------

function sampling({ vocab: V, page }: CatalogShape): CatalogEntry[] {
  const per = (g: GraphBuilder, name: string, dtype: Dtype) => g.input(name, tensor(dtype, ['R']))
  const logits = (g: GraphBuilder) => g.input('logits', tensor('f32', ['R', V]))
  const settings = (g: GraphBuilder) => ({
    temperature: per(g, 'temperature', 'f32'),
    top_k: per(g, 'top_k', 'i32'),
    top_p: per(g, 'top_p', 'f32'),
    min_p: per(g, 'min_p', 'f32'),
    seed: per(g, 'seed', 'u32'),
  })
  const over = (g: GraphBuilder) => ({
    history: g.state('history', 'i32', ['P', 1, page, 1]),
    positions: per(g, 'positions', 'i32'),
    page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
  })
  const repeat = (g: GraphBuilder) => ({ penalty: per(g, 'penalty', 'f32'), window: per(g, 'window', 'i32') })
  const frequency = (g: GraphBuilder) => ({
    from: per(g, 'from', 'i32'),
    frequency: per(g, 'frequency', 'f32'),
    presence: per(g, 'presence', 'f32'),
  })
  const biases = (g: GraphBuilder) => ({
    ids: g.input('ids', tensor('i32', ['R', 256])),
    values: g.input('values', tensor('f32', ['R', 256])),
  })
  const penalised = (g: GraphBuilder) => ({
    logits: logits(g),
    ...{ ...over(g), ...repeat(g), ...frequency(g), ...biases(g), ...settings(g) },
  })
  return [
    entry('publish', (g) => {
      const of = (name: string) => g.input(name, tensor('i32', [name === 'step' ? 1 : 'R']))
      const ring = g.state('ring', 'i32', [4, 'R', 2])
      return publish({ ring, token: of('token'), positions: of('positions'), step: of('step') }).published
    }),
    entry('argmax f32', (g) => argmax({ x: g.input('x', tensor('f32', ['R', V])) })),
    entry('topk f32', (g) => topk({ x: g.input('x', tensor('f32', ['R', V])) }, { k: 64 })),
    entry('sample', (g) => sample({ logits: logits(g), ...settings(g), positions: per(g, 'positions', 'i32') })),
    entry('repeat_penalty', (g) => repeatPenalty({ logits: logits(g), ...over(g), ...repeat(g) })),
    entry('frequency_penalty', (g) => frequencyPenalty({ logits: logits(g), ...over(g), ...frequency(g) })),
    entry('logit_bias', (g) => logitBias({ logits: logits(g), ...biases(g) })),
    entry('penalised_sample', (g) => penalisedSample(penalised(g))),
    entry('penalised_publish', (g) => {
      const step = g.input('step', tensor('i32', [1]))
      return penalisedPublish({ ...penalised(g), ring: g.state('ring', 'i32', [4, 'R', 2]), step })
    }),
  ]
}
