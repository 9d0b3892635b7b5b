// Front ends: the graph of a step says what the paper says, and a model that cannot be lowered is refused plainly.
import { expect, test } from 'vitest'
import type { Diagnostic } from '../../../ir/diagnostic.ts'
import { nodesOf } from '../../../ir/graph.ts'
import { printGraph } from '../../../ir/print.ts'
import { specialize } from '../../../ir/specialize.ts'
import { verify } from '../../../ir/verify.ts'
import { openCheckpoint } from '../../../src/loader/checkpoint.ts'
import { architectures, knownArchitectures, lowerStep } from '../../../src/models/index.ts'
import type { StepOptions } from '../../../src/models/step.ts'
import type { HfConfig } from '../../gguf-writer.ts'
import { randomHf } from '../../models.ts'

const options: StepOptions = { result: 'token', activations: 'f32', kvDtype: 'f16', pageSize: 16 }

async function lower(config: Partial<HfConfig>, more: Partial<StepOptions> = {}) {
  await using checkpoint = await openCheckpoint(randomHf(config))
  return verify(lowerStep(checkpoint.config, checkpoint.weights, { ...options, ...more }))
}
const one: Partial<HfConfig> = { num_hidden_layers: 1 }
const opsOf = async (config: Partial<HfConfig>, more: Partial<StepOptions> = {}) =>
  nodesOf(await lower(config, more)).map(({ op }) => op)

test.each(['llama', 'qwen2', 'qwen3'])('one layer of %s as a decode step', async (model_type) => {
  const graph = specialize(await lower({ ...one, model_type }, { result: 'next' }), { R: 1 }, 'decode')
  await expect(`${printGraph(verify(graph))}\n`).toMatchFileSnapshot(`../../golden/${model_type}-layer.txt`)
})

test('what a step returns decides how much of the model is in it', async () => {
  const count = async (result: StepOptions['result']) => (await opsOf(one, { result })).length
  const [none, logits, all, token] = [
    await count('none'),
    await count('logits'),
    await count('all-logits'),
    await count('token'),
  ]
  expect(none).toBeLessThan(token)
  expect(all).toBe(logits - 1) // all tokens need no gather_rows of the last
  expect(token).toBeGreaterThan(logits)
  expect(await opsOf(one, { result: 'next' })).not.toContain('gather_rows') // every token is its request's last
  expect(await opsOf(one, { result: 'none' })).not.toContain('sample')
})

test('a layer costs the same number of ops each', async () => {
  const [a, b, c] = await Promise.all([1, 2, 5].map(async (n) => (await opsOf({ num_hidden_layers: n })).length))
  expect(c! - b!).toBe(3 * (b! - a!))
})

test('a window, partial rotation, frequency factors and biases reach the ops', async () => {
  const find = async (config: Partial<HfConfig>, op: string) =>
    nodesOf(await lower({ ...one, ...config })).filter((node) => node.op === op)
  expect((await find({ model_type: 'mistral', sliding_window: 7 }, 'causal_mask'))[0]!.attrs).toMatchObject({
    window: 7,
  })
  expect((await find({ partial_rotary_factor: 0.5 }, 'rope')).map(({ attrs }) => attrs.dims)).toEqual([8, 8])
  const scaling = { rope_type: 'linear', factor: 2 }
  expect((await find({ rope_scaling: scaling }, 'rope')).every((node) => 'factors' in node.in)).toBe(true)
  const biased = (await find({ model_type: 'qwen2' }, 'matmul')).filter((node) => 'bias' in node.in)
  expect(biased.map(({ label }) => label)).toEqual(['blk.0.attn_q', 'blk.0.attn_k', 'blk.0.attn_v'])
  expect((await find({ model_type: 'qwen3' }, 'rms_norm')).map(({ label }) => label)).toContain('blk.0.attn_q_norm')
})

test('tied and untied heads read the matrix that is theirs', async () => {
  const weightsOf = async (tie_word_embeddings: boolean) => (await lower({ ...one, tie_word_embeddings })).weights
  expect(await weightsOf(true)).not.toContain('@output.weight')
  expect(await weightsOf(false)).toContain('@output.weight')
})

test('an unknown architecture: an error that lists the known ones', async () => {
  expect(knownArchitectures).toEqual(architectures.flatMap(({ names }) => names))
  await using checkpoint = await openCheckpoint(randomHf(one))
  const refused = (config: object): Diagnostic => {
    try {
      lowerStep({ ...checkpoint.config, ...config }, checkpoint.weights, options)
    } catch (error) {
      return error as Diagnostic
    }
    throw new Error('it was not refused')
  }
  const unknown = refused({ architecture: 'mamba' })
  expect(unknown).toMatchObject({ code: 'unknown-architecture' })
  for (const name of ['mamba', 'llama', 'mistral', 'qwen2', 'qwen3']) expect(unknown.message).toContain(name)
  expect(refused({ hiddenAct: 'gelu' })).toMatchObject({ code: 'unknown-activation' })
  expect(refused({ ffn: 97 }).message).toContain('ffn_gate')
})
