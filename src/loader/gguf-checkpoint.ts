// A GGUF file as a checkpoint: weights under their own names, configuration and tokenizer from its metadata.
import { fail } from '../../ir/diagnostic.ts'
import { factsOf } from '../models/facts.ts'
import type { GgufTokenizerSource } from '../tokenizer/source.ts'
import { type CheckpointParts, dominantDtype, type OpenOptions, refuseUnknownArchitecture } from './checkpoint-parts.ts'
import { type GgufMetadata, ggufMetadata } from './gguf-metadata.ts'
import { openParts } from './gguf-parts.ts'
import { type ConfigFindings, defineModelConfig, type ModelConfig } from './model-config.ts'
import { ropeStyle } from './rope-order.ts'
import { yarnMagnitude } from './rope-scaling.ts'
import type { SourceFile } from './source-file.ts'
import { type WeightIndex, weightIndex } from './weight-index.ts'

/** Takes over `first`, an open file, and the files of the other parts: they are closed with the checkpoint, or after a failure. */
export function openGguf(first: SourceFile, options: OpenOptions): CheckpointParts {
  const { path } = first
  const files = [first]
  try {
    const parts = openParts(first, files)
    const metadata = ggufMetadata(path, parts[0]!.header.metadata)
    const entries = parts.flatMap(({ file, header }) =>
      header.tensors.map((tensor) => ({ ...tensor, originalName: tensor.name, file: file.path })),
    )
    const weights = weightIndex(path, entries, [], new Map(files.map((file) => [file.path, file])))

    const architecture = metadata.string('general.architecture')
    if (!architecture) return lacks(path, 'general.architecture')
    refuseUnknownArchitecture(path, architecture, options)
    const tokenizer = readTokenizer(path, metadata)
    const config = readConfig({ path, architecture, metadata, tokenizer, weights, context: options.context })
    return { format: 'gguf', config, weights, tokenizer, generation: { eos: config.eos }, notes: [], files }
  } catch (error) {
    for (const file of files) file.close()
    throw error
  }
}

/** Our name → the key in the file; `A.` stands for the architecture. */
const keys = {
  architecture: 'general.architecture',
  name: 'general.name',
  vocabSize: 'tokenizer.ggml.tokens',
  hidden: 'A.embedding_length',
  layers: 'A.block_count',
  ffn: 'A.feed_forward_length',
  heads: 'A.attention.head_count',
  kvHeads: 'A.attention.head_count_kv',
  headDim: 'A.attention.key_length',
  contextLength: 'A.context_length',
  normEps: 'A.attention.layer_norm_rms_epsilon',
  ropeTheta: 'A.rope.freq_base',
  ropeDims: 'A.rope.dimension_count',
  ropeScaling: 'A.rope.scaling.factor',
  freqFactors: 'rope_freqs.weight',
  slidingWindow: 'A.attention.sliding_window',
  bos: 'tokenizer.ggml.bos_token_id',
  eos: 'tokenizer.ggml.eos_token_id',
  addBos: 'tokenizer.ggml.add_bos_token',
} as const

interface Found {
  readonly path: string
  readonly architecture: string
  readonly metadata: GgufMetadata
  readonly tokenizer: GgufTokenizerSource
  readonly weights: WeightIndex
  /** tokens of the longest text, where the caller knows */
  readonly context: number | undefined
}

function readConfig({ path, architecture, metadata, tokenizer, weights, context }: Found): ModelConfig {
  const keyOf = (name: keyof typeof keys): string => keys[name].replace(/^A\./, `${architecture}.`)
  const layers = metadata.number(keyOf('layers'))
  const number = (name: keyof typeof keys) => metadata.perLayer(keyOf(name), layers)
  const { qkvBias, qkNorm } = factsOf(architecture)
  const heads = number('heads')
  const window = number('slidingWindow')
  const findings: ConfigFindings = {
    architecture,
    name: metadata.string('general.name') ?? '',
    vocabSize: tokenizer.tokens.length,
    hidden: number('hidden'),
    layers,
    ffn: number('ffn'),
    heads,
    kvHeads: number('kvHeads') ?? heads,
    headDim: number('headDim'),
    contextLength: number('contextLength'),
    normEps: number('normEps'),
    ropeTheta: number('ropeTheta') ?? 10_000,
    ropeDims: number('ropeDims'),
    ropeScaling: readScaling({ path, architecture, metadata, weights }),
    slidingWindow: window === 0 ? undefined : window,
    tiedEmbeddings: !weights.get('output.weight'),
    attentionBias: qkvBias || !!weights.get('blk.0.attn_q.bias'),
    qkNorm: qkNorm || !!weights.get('blk.0.attn_q_norm.weight'),
    hiddenAct: 'silu',
    bos: tokenizer.bos,
    eos: [...new Set([...(tokenizer.eos === undefined ? [] : [tokenizer.eos]), ...(tokenizer.eot ?? [])])],
    addBos: tokenizer.addBos,
  }
  const config = defineModelConfig(findings, {
    file: path,
    keys: Object.fromEntries(Object.keys(keys).map((name) => [name, keyOf(name as keyof typeof keys)])),
    style: ropeStyle('gguf', architecture),
    weightDtype: dominantDtype(weights),
    freqFactors: readFactors(path, weights, 'rope_freqs.weight'),
    context,
  })
  refuseUnequalHeads(path, metadata, config)
  return config
}

function refuseUnequalHeads(path: string, metadata: GgufMetadata, { architecture, headDim }: ModelConfig): void {
  const key = `${architecture}.attention.value_length`
  const got = metadata.number(key)
  if (got === undefined || got === headDim) return
  fail({
    code: 'bad-config',
    message: 'heads of values and keys differ in size, which is not supported',
    facts: [
      ['file', path],
      ['key', key],
      ['expected', `${headDim}`],
      ['got', `${got}`],
    ],
  })
}

function readScaling({
  path,
  architecture,
  metadata,
  weights,
}: Pick<Found, 'path' | 'architecture' | 'metadata' | 'weights'>) {
  const number = (key: string): number | undefined => {
    const found = metadata.number(`${architecture}.${key}`)
    return found === undefined ? undefined : Number(found)
  }
  const of = (key: string) => number(`rope.scaling.${key}`)
  const kind = metadata.string(`${architecture}.rope.scaling.type`)
  const given = of('factor')
  const factor = given === undefined || given === 0 ? number('rope.scale_linear') : given // 0: not set
  const originalContext = of('original_context_length') || number('context_length')
  const attention = of('attn_factor') ?? 1
  const long = readFactors(path, weights, 'rope_factors_long.weight')
  const short = readFactors(path, weights, 'rope_factors_short.weight')
  if (long && short)
    return { kind: 'longrope', short: Array.from(short), long: Array.from(long), originalContext, magnitude: attention }
  switch (kind) {
    case 'none':
      return undefined
    case undefined:
    case 'linear':
      return factor === undefined || factor === 1 ? undefined : { kind: 'linear', factor }
    case 'dynamic':
      return { kind, factor, originalContext: number('context_length') }
    case 'yarn': {
      const extFactor = of('yarn_ext_factor') ?? -1
      const extrapolation = extFactor < 0 ? 1 : extFactor // negative: not set
      const weight = of('yarn_log_multiplier') || undefined
      return {
        kind,
        factor: factor ?? 1,
        originalContext,
        betaFast: of('yarn_beta_fast') || undefined,
        betaSlow: of('yarn_beta_slow') || undefined,
        extrapolation,
        magnitude:
          attention *
          (extrapolation === 0 ? 1 : yarnMagnitude(factor ?? 1) / (weight ? yarnMagnitude(factor ?? 1, weight) : 1)),
      }
    }
    default:
      return fail({
        code: 'unsupported-rope-scaling',
        message: `rope scaling of kind ${kind} is not supported`,
        facts: [
          ['file', path],
          ['key', `${architecture}.rope.scaling.type`],
          ['expected', 'none, linear, dynamic, yarn or longrope'],
          ['got', kind],
        ],
      })
  }
}

/** Llama 3 files hold the divisors of the rope frequencies as an f32 tensor, LongRoPE's two of them. */
function readFactors(path: string, weights: WeightIndex, name: string): Float32Array | undefined {
  const entry = weights.get(name)
  if (!entry) return undefined
  if (entry.dtype !== 'f32' || entry.shape.length !== 1 || entry.bytes > 2 ** 18) {
    fail({
      code: 'bad-weight',
      message: 'the divisors of the rope frequencies are not a vector of f32',
      facts: [
        ['weight', entry.name],
        ['file', path],
        ['got', `${entry.dtype}[${entry.shape.join(', ')}]`],
      ],
    })
  }
  const bytes = new Uint8Array(entry.bytes)
  weights.readSync(entry, bytes)
  return new Float32Array(bytes.buffer)
}

function readTokenizer(path: string, metadata: GgufMetadata): GgufTokenizerSource {
  const prefix = 'tokenizer.ggml.'
  const tokens = metadata.strings(`${prefix}tokens`) ?? lacks(path, `${prefix}tokens`)
  const model = metadata.string(`${prefix}model`) ?? lacks(path, `${prefix}model`)
  if (model !== 'gpt2' && model !== 'llama') {
    return fail({
      code: 'unsupported-tokenizer',
      message: `a tokenizer of kind ${model} is not supported`,
      facts: [
        ['file', path],
        ['key', `${prefix}model`],
        ['expected', 'gpt2 or llama'],
        ['got', model],
      ],
    })
  }
  const scores = metadata.floats(`${prefix}scores`)
  const tokenTypes = metadata.ints(`${prefix}token_type`)
  for (const [key, list] of [
    ['scores', scores],
    ['token_type', tokenTypes],
  ] as const) {
    if (list && list.length !== tokens.length) {
      fail({
        code: 'bad-metadata',
        message: 'a list does not have one element for each token',
        facts: [
          ['file', path],
          ['key', prefix + key],
          ['expected', `${tokens.length} elements`],
          ['got', `${list.length}`],
        ],
      })
    }
  }
  const id = (key: string): number | undefined => {
    const found = metadata.number(`${prefix}${key}_token_id`)
    if (found === undefined || found === 0xffffffff || found === -1) return undefined // converters write "none" so
    if (Number.isInteger(found) && Number(found) >= 0 && Number(found) < tokens.length) return Number(found)
    return fail({
      code: 'bad-config',
      message: 'the model description has an impossible value',
      facts: [
        ['file', path],
        ['key', `${prefix}${key}_token_id`],
        ['expected', `a token of the vocabulary of ${tokens.length}`],
        ['got', `${found}`],
      ],
    })
  }
  return {
    kind: 'gguf',
    model,
    pre: metadata.string(`${prefix}pre`) ?? '',
    tokens,
    scores,
    tokenTypes,
    merges: metadata.strings(`${prefix}merges`),
    bos: id('bos'),
    eos: id('eos'),
    unk: id('unknown'),
    eot: ['eot', 'eom', 'fim_pad', 'fim_rep', 'fim_sep'].map(id).filter((one) => one !== undefined),
    addBos: metadata.boolean(`${prefix}add_bos_token`),
    addEos: metadata.boolean(`${prefix}add_eos_token`),
    addSpacePrefix: metadata.boolean(`${prefix}add_space_prefix`),
    chatTemplate: metadata.string('tokenizer.chat_template'),
  }
}

function lacks(path: string, key: string): never {
  return fail({
    code: 'bad-config',
    message: 'the model description lacks a key',
    facts: [
      ['file', path],
      ['key', key],
      ['got', 'nothing'],
    ],
  })
}
