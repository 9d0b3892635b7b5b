// A model that is made up: a shape with random weights, which a device fills by itself. No file, no tokenizer.
import { fail, invariant } from '../../ir/diagnostic.ts'
import { quantFormats } from '../../ir/quant.ts'
import { type Dtype, isFloat, isQuant, product, rowBytes } from '../../ir/type.ts'
import { type RandomFill, randomBytes } from '../../runtime/execute/random-fill.ts'
import type { WeightSource } from '../../runtime/execute/weights.ts'
import { weightSource } from '../engine/weight-values.ts'
import type { ModelSource } from '../loader/checkpoint.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import type { WeightEntry, WeightIndex } from '../loader/weight-index.ts'
import { configOf } from './shapes.ts'

export const weightTypes = ['bf16', 'f16', 'f32', 'q8_0', 'q4_0', 'q4_k', 'q5_k', 'q6_k'] as const
export type BenchWeights = (typeof weightTypes)[number]

/** A model of this shape whose matrices are of this type. */
export function randomModel(shape: string, weights: BenchWeights): ModelSource {
  const config = configOf(shape, weights)
  return { path: `${shape} with random ${weights} weights`, config, weights: randomWeights(shape, config, weights) }
}

/**
 * Types of the weights as files have them. Of 16-bit models all tensors share a type; in quantised ones norms are f32 and the
 * matrix of the logits has six bits or more. Rows that are no whole number of blocks take the next type that fits.
 */
function typeOf(name: string, shape: readonly number[], weights: BenchWeights, tied: boolean): Dtype {
  if (isFloat(weights)) return weights
  if (shape.length === 1) return 'f32'
  const row = shape.at(-1)!
  const isHead = name === 'output.weight' || (tied && name === 'token_embd.weight')
  const wanted: BenchWeights = isHead && weights !== 'q8_0' ? 'q6_k' : weights
  const fits = [wanted, 'q8_0', 'f16'] as const
  return fits.find((type) => !isQuant(type) || row % quantFormats[type].block === 0)!
}

/** Names and shapes of the weights, as the front ends in src/models ask for them. */
function shapesOf(config: ModelConfig): [name: string, shape: readonly number[]][] {
  const { hidden, layers, ffn, heads, kvHeads, headDim, vocabSize, tiedEmbeddings, qkNorm, attentionBias } = config
  const [q, kv] = [heads * headDim, kvHeads * headDim]
  const layer = (n: number): [string, number[]][] => [
    [`blk.${n}.attn_norm.weight`, [hidden]],
    [`blk.${n}.attn_q.weight`, [q, hidden]],
    [`blk.${n}.attn_k.weight`, [kv, hidden]],
    [`blk.${n}.attn_v.weight`, [kv, hidden]],
    [`blk.${n}.attn_output.weight`, [hidden, q]],
    [`blk.${n}.ffn_norm.weight`, [hidden]],
    [`blk.${n}.ffn_gate.weight`, [ffn, hidden]],
    [`blk.${n}.ffn_up.weight`, [ffn, hidden]],
    [`blk.${n}.ffn_down.weight`, [hidden, ffn]],
    ...(qkNorm ? ['q', 'k'].map((part): [string, number[]] => [`blk.${n}.attn_${part}_norm.weight`, [headDim]]) : []),
    ...(attentionBias
      ? Object.entries({ q, k: kv, v: kv }).map(([part, size]): [string, number[]] => [
          `blk.${n}.attn_${part}.bias`,
          [size],
        ])
      : []),
  ]
  return [
    ['token_embd.weight', [vocabSize, hidden]],
    ...Array.from({ length: layers }, (_, n) => layer(n)).flat(),
    ['output_norm.weight', [hidden]],
    ...(tiedEmbeddings ? [] : [['output.weight', [vocabSize, hidden]] as [string, number[]]]),
  ]
}

function randomWeights(path: string, config: ModelConfig, weights: BenchWeights): WeightIndex {
  const entries = shapesOf(config).map(([name, shape]): WeightEntry => {
    const dtype = typeOf(name, shape, weights, config.tiedEmbeddings)
    const bytes = product(shape.slice(0, -1)) * rowBytes(dtype, shape.at(-1)!)
    return { name, originalName: name, dtype, shape, file: path, offset: 0, bytes }
  })
  const byName = new Map(entries.map((entry) => [entry.name, entry]))
  const readSync: WeightIndex['readSync'] = ({ name, dtype, shape }, into, byteOffset = 0) => {
    if (shape.length > 1) randomBytes(dtype, seedOf(name), into, byteOffset)
    else constantBytes(dtype, name.endsWith('.bias') ? 0 : 1, into, byteOffset)
  }
  return {
    size: byName.size,
    bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0),
    path,
    get: (name) => byName.get(name),
    unusable: () => undefined,
    readSync,
    read: async (entry, into, byteOffset) => readSync(entry, into, byteOffset),
    locate: ({ name }) => invariant(false, `weight ${name} is in no file`) as never,
    [Symbol.iterator]: () => byName.values(),
  }
}

/** Norms are 1, biases 0. */
function constantBytes(dtype: Dtype, value: 0 | 1, into: Uint8Array, byteOffset: number): void {
  const one = { f32: [0, 0, 0x80, 0x3f], f16: [0, 0x3c], bf16: [0x80, 0x3f] }[dtype as 'f32' | 'f16' | 'bf16']
  for (let i = 0; i < into.length; i++) into[i] = value * one[(byteOffset + i) % one.length]!
}

/** Matrices are made on the device, all else is read. */
export function randomWeightSource(model: ModelSource, fill: RandomFill): WeightSource {
  const { read } = weightSource(model)
  return {
    read,
    fill({ weight, type, address, bytes, offset }, stream) {
      if (type.shape.length < 2) return false
      fill.fill(type.dtype, seedOf(weight), address, bytes, stream, offset)
      return true
    },
  }
}

/** The types that a device has to be able to make. */
export const filledTypes = (model: ModelSource): Set<Dtype> =>
  new Set([...model.weights].filter(({ shape }) => shape.length > 1).map(({ dtype }) => dtype))

/** A weight's numbers depend on its name (FNV-1a). */
function seedOf(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** Diagnostic `bad-option` for a type that random weights cannot have. */
export function checkWeightType(name: string): BenchWeights {
  const known = weightTypes.find((type) => type === name.toLowerCase())
  if (known) return known
  return fail({
    code: 'bad-option',
    message: `weights cannot be ${name}`,
    facts: [['types', weightTypes.join(', ')]],
  })
}
