// The whole pipeline on the graphs that it is for: steps of Llama and its relatives.
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { type Graph, nodesOf, typeOf } from '../../ir/graph.ts'
import { packageRoot } from '../../ir/package-root.ts'
import { printGraph } from '../../ir/print.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import { type OptLevel, optLevels, type PassRecord, runPasses } from '../../passes/pass.ts'
import { optimise } from '../../passes/pipeline.ts'
import { openCheckpoint } from '../../src/loader/checkpoint.ts'
import { lowerStep } from '../../src/models/index.ts'
import { tinyStep } from '../tiny-step.ts'
import { expectSameOnData } from './after-pass.ts'

const opsOf = (graph: Graph): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const id of graph.order) counts[graph.nodes[id]!.op] = (counts[graph.nodes[id]!.op] ?? 0) + 1
  return Object.fromEntries(Object.entries(counts).sort())
}

/** The graph at a level, verified and proved to compute the same. */
function optimised(graph: Graph, level: OptLevel): Graph {
  const after = verify(optimise(graph, level))
  expectSameOnData(after, graph)
  expect(optimise(after, level), 'a second run changes nothing').toBe(after)
  return after
}

describe('a decode step of story-3m, cut to one layer', async () => {
  await using checkpoint = await openCheckpoint(join(packageRoot(), 'models/story-3m'))
  const step = lowerStep({ ...checkpoint.config, layers: 1 }, checkpoint.weights, {
    result: 'next',
    activations: 'f32',
    kvDtype: 'f16',
    pageSize: 16,
  })
  const decode = specialize(step, { T: 1, R: 1 }, 'decode')
  test.each(optLevels)('at -O%i', async (level) => {
    const text = printGraph(optimised(decode, level))
    await expect(`${text}\n`).toMatchFileSnapshot(`../golden/story-3m-decode-O${level}.txt`)
  })
})

describe('two layers of every architecture', () => {
  const models: [string, () => Graph][] = [
    ['Llama with grouped heads', () => tinyStep()],
    ['Llama with a key head for every query head', () => tinyStep({ kvHeads: 4 })],
    ['Llama with one key head, and a head of its own', () => tinyStep({ kvHeads: 1, tiedEmbeddings: false })],
    [
      'Llama with scaled frequencies',
      () => tinyStep({ rope: { theta: 100, dims: 4, style: 'interleaved', freqFactors: Float32Array.of(1, 4) } }),
    ],
    ['Mistral with a sliding window', () => tinyStep({ architecture: 'mistral', slidingWindow: 3 })],
    ['Qwen2 with biases', () => tinyStep({ architecture: 'qwen2', attentionBias: true })],
    ['Qwen3 with normed heads', () => tinyStep({ architecture: 'qwen3', qkNorm: true })],
    ['a prefill of all logits', () => tinyStep({}, { result: 'all-logits' })],
    ['a chunk of a prompt', () => tinyStep({}, { result: 'none' })],
  ]
  test.each(models)('%s: the same results at every level', (_, make) => {
    const graph = make()
    const fused = optLevels.map((level) => optimised(graph, level))
    // of known tokens an attention takes the append in, and norms of heads
    const taken = nodesOf(fused[3]!).filter(
      ({ id, op }) => op === 'attention' || (op === 'rms_norm' && typeOf(fused[3]!, id).shape.length === 3),
    )
    expect(optimised(specialize(graph, { T: 1, R: 1 }), 3).order).toHaveLength(fused[3]!.order.length - taken.length)
    expect(opsOf(fused[3]!)).toMatchSnapshot()
  })
  test('with 16-bit activations the same nodes are fused', () => {
    const narrow = tinyStep({ weightDtype: 'bf16' }, { activations: 'bf16', kvDtype: 'bf16' })
    expect(opsOf(optimised(narrow, 3))).toEqual(opsOf(optimised(tinyStep(), 3)))
  })
})

describe('the runner', () => {
  test('reports every pass with the graphs before and after it', () => {
    const records: PassRecord[] = []
    const graph = tinyStep()
    const after = optimise(graph, 3, (record) => records.push(record))
    expect(records.map(({ pass }) => pass.name)).toEqual([
      'dead-code',
      'fold-constants',
      'fuse-rope-kv-append',
      'fuse-scale-mask-softmax',
      'fuse-swiglu',
      'fuse-penalised-sample',
      'fuse-penalised-publish',
      'fuse-embed-append',
      'fuse-attention',
      'fuse-gate-swiglu',
      'merge-qkv',
      'fuse-residual',
      'fuse-add-rms-norm',
      'fuse-rms-norm-matmul',
      'fuse-rope-attention',
      'dead-code',
    ])
    expect(records[0]!.before).toBe(graph)
    expect(records.at(-1)!.after).toBe(after)
    for (const [i, record] of records.slice(1).entries()) expect(record.before).toBe(records[i]!.after)
  })
  test('shares what a pass did not touch, and touches nothing at -O0', () => {
    const graph = tinyStep()
    const after = optimise(graph, 3)
    const gather = nodesOf(graph).find(({ op, in: { x } }) => op === 'gather_rows' && x === '%positions')!
    expect(after.nodes[gather.id]).toBe(gather)
    expect(optimise(graph, 0)).toBe(graph)
  })
  test('says which pass made a bad graph', () => {
    const graph = tinyStep()
    const bad = { name: 'lose-types', doc: '', numerics: 'exact' as const, run: (g: Graph) => ({ ...g, types: {} }) }
    const thrown = (() => {
      try {
        runPasses(graph, [bad])
      } catch (error) {
        return error as Error
      }
    })()
    expect(thrown?.message).toBe('internal: lose-types made a bad graph, please report')
    expect(thrown?.cause).toBeInstanceOf(Diagnostic)
  })
})
