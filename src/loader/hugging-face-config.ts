// config.json of a Hugging Face folder → ModelConfig. Defaults are those of the transformers library for the
// architecture, for keys that older checkpoints leave out.
import { isDeepStrictEqual } from 'node:util'
import { fail } from '../../ir/diagnostic.ts'
import { factsOf } from '../models/facts.ts'
import { dominantDtype } from './checkpoint-parts.ts'
import { type ConfigFindings, defineModelConfig, type ModelConfig } from './model-config.ts'
import { ropeStyle } from './rope-order.ts'
import { yarnMagnitude } from './rope-scaling.ts'
import type { JsonObject } from './strict-json.ts'
import type { WeightIndex } from './weight-index.ts'

interface ConfigContext {
  /** path of config.json */
  readonly file: string
  readonly architecture: string
  readonly name: string
  readonly weights: WeightIndex
  /** end tokens that generation_config.json adds */
  readonly extraEos: readonly number[]
  readonly addBos: boolean | undefined
  /** tokens of the longest text, where the caller knows */
  readonly context: number | undefined
}

/** Our name → the key in config.json. */
const keys = {
  architecture: 'model_type',
  vocabSize: 'vocab_size',
  hidden: 'hidden_size',
  layers: 'num_hidden_layers',
  ffn: 'intermediate_size',
  heads: 'num_attention_heads',
  kvHeads: 'num_key_value_heads',
  headDim: 'head_dim',
  contextLength: 'max_position_embeddings',
  normEps: 'rms_norm_eps',
  ropeTheta: 'rope_theta',
  ropeDims: 'partial_rotary_factor',
  ropePart: 'partial_rotary_factor',
  ropeScaling: 'rope_scaling',
  slidingWindow: 'sliding_window',
  tiedEmbeddings: 'tie_word_embeddings',
  attentionBias: 'attention_bias',
  hiddenAct: 'hidden_act',
  bos: 'bos_token_id',
  eos: 'eos_token_id',
} as const

/** The name of the architecture: `model_type`, or else what `architectures` says: LlamaForCausalLM → llama. */
export function architectureOf(config: JsonObject): string | undefined {
  if (typeof config['model_type'] === 'string' && config['model_type']) return config['model_type']
  const listed = config['architectures']
  const first = Array.isArray(listed) ? listed[0] : undefined
  return typeof first === 'string' ? first.replace(/For[A-Z]\w*$/, '').toLowerCase() : undefined
}

export function readHuggingFaceConfig(config: JsonObject, context: ConfigContext): ModelConfig {
  const { file, architecture, weights, extraEos } = context
  refuseQuantized(config, file)
  const given = (key: string): unknown => config[key] ?? undefined // null means: not set
  const rope = ropeOf((given('rope_parameters') ?? given('rope_scaling')) as JsonObject | undefined, file)
  const heads = given(keys.heads)
  // where both places say it, the rotary settings do (transformers 5)
  const part = rope?.['partial_rotary_factor'] ?? given('partial_rotary_factor')
  const theta = rope?.['rope_theta'] ?? given(keys.ropeTheta) ?? 10_000
  const eos = given(keys.eos)
  const { qkvBias, qkNorm } = factsOf(architecture)

  const findings: ConfigFindings = {
    architecture,
    name: context.name,
    vocabSize: given(keys.vocabSize),
    hidden: given(keys.hidden),
    layers: given(keys.layers),
    ffn: given(keys.ffn),
    heads,
    kvHeads: given(keys.kvHeads) ?? heads,
    headDim: given(keys.headDim),
    contextLength: given(keys.contextLength) ?? 2048,
    normEps: given(keys.normEps) ?? 1e-6,
    ropeTheta: theta,
    ropePart: part,
    ropeScaling: readScaling(rope, file, config),
    slidingWindow: slidingWindow(config, file),
    tiedEmbeddings: given(keys.tiedEmbeddings) ?? (!weights.get('output.weight') && !weights.unusable('output.weight')),
    attentionBias: given(keys.attentionBias) === true || qkvBias || !!weights.get('blk.0.attn_q.bias'),
    mlpBias: given('mlp_bias') === true ? true : undefined,
    qkNorm: qkNorm || !!weights.get('blk.0.attn_q_norm.weight'),
    hiddenAct: given(keys.hiddenAct) ?? 'silu',
    bos: isNone(given(keys.bos)) ? undefined : given(keys.bos),
    eos: [...new Set([...(Array.isArray(eos) ? eos : [eos]).filter((id) => !isNone(id)), ...extraEos])],
    addBos: context.addBos,
  }
  return defineModelConfig(findings, {
    file,
    keys,
    style: ropeStyle('safetensors', architecture),
    context: context.context,
    weightDtype: dominantDtype(weights),
  })
}

/** No token: left out, or -1 as some write it. */
const isNone = (id: unknown): boolean => id === undefined || id === null || id === -1

/** The settings where all kinds of layer have the same; newer configs may give some to each kind. */
function ropeOf(rope: JsonObject | undefined, file: string): JsonObject | undefined {
  if (rope === undefined || rope === null || typeof rope !== 'object' || Array.isArray(rope)) return rope
  const kinds = Object.values(rope)
  if (kinds.length === 0 || !kinds.every((one) => one !== null && typeof one === 'object' && !Array.isArray(one)))
    return rope
  const [first, ...others] = kinds as [JsonObject, ...JsonObject[]]
  if (others.every((one) => isDeepStrictEqual(one, first))) return first
  return fail({
    code: 'unsupported-rope-scaling',
    message: 'rotary settings that differ from layer to layer are not supported',
    facts: [
      ['file', file],
      ['key', 'rope_parameters'],
      ['got', Object.keys(rope).join(', ')],
    ],
  })
}

function readScaling(rope: unknown, file: string, config: JsonObject): Record<string, unknown> | undefined {
  if (rope === undefined) return undefined
  const refuse = (expected: string, got: unknown): never =>
    fail({
      code: 'unsupported-rope-scaling',
      message: 'this rope scaling is not supported',
      facts: [
        ['file', file],
        ['key', config['rope_parameters'] ? 'rope_parameters' : 'rope_scaling'],
        ['expected', expected],
        ['got', JSON.stringify(got)],
      ],
    })
  if (rope === null || typeof rope !== 'object' || Array.isArray(rope)) return refuse('an object', rope)
  const of = (key: string): unknown => (rope as JsonObject)[key] ?? undefined
  const kind = of('rope_type') ?? of('type') ?? 'default'
  const longest = config['max_position_embeddings'] ?? undefined
  const originalContext =
    of('original_max_position_embeddings') ?? config['original_max_position_embeddings'] ?? undefined
  const ratio = Number(longest) / Number(originalContext)
  const factor =
    of('factor') ?? (ratio > 0 && (kind === 'yarn' || kind === 'longrope' || kind === 'su') ? ratio : undefined)
  switch (kind) {
    case 'default':
      return undefined
    case 'linear':
      return { kind, factor }
    case 'dynamic':
      return { kind, factor, originalContext: longest ?? 2048 }
    case 'llama3':
      return {
        kind,
        factor,
        lowFreqFactor: of('low_freq_factor'),
        highFreqFactor: of('high_freq_factor'),
        originalContext,
      }
    case 'yarn':
      return {
        kind,
        factor,
        originalContext: originalContext ?? longest ?? 2048,
        betaFast: of('beta_fast') || undefined, // 0 is the default too
        betaSlow: of('beta_slow') || undefined,
        truncate: of('truncate'),
        magnitude: of('attention_factor') ?? magnitudeOf(Number(factor), of('mscale'), of('mscale_all_dim')),
      }
    case 'longrope':
    case 'su': {
      const context = Number(originalContext ?? longest)
      return {
        kind: 'longrope',
        short: of('short_factor'),
        long: of('long_factor'),
        originalContext: context,
        // Ding et al., LongRoPE, 2024, as Phi-3 has it
        magnitude:
          of('attention_factor') ??
          (Number(factor) > 1 ? Math.sqrt(1 + Math.log(Number(factor)) / Math.log(context)) : 1),
      }
    }
    default:
      return refuse('default, linear, dynamic, yarn, longrope or llama3', kind)
  }
}

/** DeepSeek-V2's two weights, where both are given; else what the paper suggests. */
function magnitudeOf(factor: number, mscale: unknown, mscaleAllDim: unknown): number {
  if (typeof mscale === 'number' && typeof mscaleAllDim === 'number' && mscale && mscaleAllDim)
    return yarnMagnitude(factor, mscale) / yarnMagnitude(factor, mscaleAllDim)
  return yarnMagnitude(factor)
}

/** The window where every layer has one; models that mix layers with and without are refused. */
function slidingWindow(config: JsonObject, file: string): unknown {
  const window = config['sliding_window'] ?? undefined
  if (window === undefined || config['use_sliding_window'] === false) return undefined
  const layers = Number(config['num_hidden_layers'])
  const kinds = config['layer_types']
  if (Array.isArray(kinds) && kinds.length !== layers)
    fail({
      code: 'bad-config',
      message: 'a list does not have one element for each layer',
      facts: [
        ['file', file],
        ['key', 'layer_types'],
        ['expected', `one for each of the ${layers} layers`],
        ['got', `${kinds.length} elements`],
      ],
    })
  const first = config['max_window_layers'] // Qwen: layers from this one on have the window
  const windowed = Array.isArray(kinds)
    ? kinds.filter((kind) => kind === 'sliding_attention').length
    : typeof first === 'number' && config['use_sliding_window'] === true
      ? Math.max(0, layers - first)
      : layers
  if (windowed === 0) return undefined
  if (windowed === layers) return window
  return fail({
    code: 'unsupported-sliding-window',
    message: 'a sliding window in only some layers is not supported',
    facts: [
      ['file', file],
      ['key', Array.isArray(kinds) ? 'layer_types' : 'max_window_layers'],
      ['expected', `all ${layers} layers, or none`],
      ['got', `${windowed} layers`],
    ],
  })
}

function refuseQuantized(config: JsonObject, file: string): void {
  const found = config['quantization_config']
  if (found === null || typeof found !== 'object' || Array.isArray(found)) return
  fail({
    code: 'unsupported-quantization',
    message: 'quantised safetensors are not supported',
    facts: [
      ['file', file],
      ['key', `quantization_config, quant_method ${JSON.stringify(found['quant_method'] ?? null)}`],
    ],
    help: 'use the f16 or bf16 weights, or a GGUF file of the model',
  })
}
