import { expect, test } from 'vitest'
import { allOps } from '../../ir/op.ts'
import { printGraph } from '../../ir/print.ts'
import { verify } from '../../ir/verify.ts'
import { optLevels } from '../../passes/pass.ts'
import { optimise, pipeline } from '../../passes/pipeline.ts'
import fc from '../fast-check.ts'
import { randomGraph } from '../random-graph.ts'
import { checkPass, expectSameOnData } from './after-pass.ts'

test.each(optLevels)('random graphs compute the same at -O%i', (level) =>
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      const optimised = optimise(graph, level)
      verify(optimised)
      expectSameOnData(optimised, graph, [1])
      expect(optimised.order.length).toBeLessThanOrEqual(graph.order.length + 2 * graph.weights.length)
    }),
    { numRuns: 60, seed: 1 },
  ),
)

test('random graphs compute the same after each pass alone', () =>
  fc.assert(
    fc.property(randomGraph(), (graph) => {
      for (const [, pass] of pipeline) checkPass(pass, graph)
    }),
    { numRuns: 25, seed: 2 },
  ))

test('random graphs are made of every op that stands between activations, and fuse in every way', () => {
  const seen = new Set<string>()
  for (const graph of fc.sample(randomGraph(), { numRuns: 80, seed: 1 }))
    for (const one of [graph, optimise(graph, 3)]) for (const id of one.order) seen.add(one.nodes[id]!.op)
  const elsewhere = [
    'embed',
    'sample',
    'repeat_penalty',
    'frequency_penalty',
    'logit_bias',
    'penalised_sample',
    'penalised_publish',
    'embed_append',
    'increment',
    'publish',
  ] // at the ends of a model
  elsewhere.push('rope_attention') // where the number of tokens is known
  const fusedAway = ['scale_mask_softmax', 'swiglu'] // by the passes behind
  expect(
    allOps()
      .map((op) => op.name)
      .filter((name) => !seen.has(name) && !elsewhere.includes(name) && !fusedAway.includes(name)),
  ).toEqual([])
})

test('the pipeline gives the same graph every time', () =>
  fc.assert(
    fc.property(randomGraph({ activations: 'bf16', kvDtype: 'f16', weights: ['q8_0', 'bf16'] }), (graph) => {
      expect(printGraph(optimise(graph, 3))).toBe(printGraph(optimise(graph, 3)))
    }),
    { numRuns: 20, seed: 3 },
  ))
