// What a test of a pass is made of: text in, text out, and the proof that the text out computes the same.
import { expect } from 'vitest'
import type { Graph } from '../../ir/graph.ts'
import { graphData, runExactly } from '../../ir/graph-data.ts'
import { parseGraph } from '../../ir/parse.ts'
import { printGraph } from '../../ir/print.ts'
import { verify } from '../../ir/verify.ts'
import type { Pass } from '../../passes/pass.ts'
import { expectSameResults } from '../same-results.ts'

/**
 * The text of the graph after the pass. The graph is verified before and after, a second run must change nothing, and both
 * graphs must give the same results in f64 on seeded data: a golden cannot bless a wrong rewrite.
 */
export function afterPass(pass: Pass, text: string): string {
  return printGraph(checkPass(pass, parseGraph(text)))
}

/** `afterPass` for a graph that is one already. */
export function checkPass(pass: Pass, before: Graph): Graph {
  verify(before)
  const text = printGraph(before)
  const after = verify(pass.run(before))
  expect(printGraph(before), 'a pass leaves its graph alone').toBe(text)
  expect(printGraph(pass.run(after)), 'a second run changes nothing').toBe(printGraph(after))
  expectSameOnData(after, before)
  return after
}

/** True where a pass finds nothing to do: it then returns the graph itself. */
export const leavesAlone = (pass: Pass, text: string): boolean => {
  const graph = verify(parseGraph(text))
  return pass.run(graph) === graph
}

export function expectSameOnData(after: Graph, before: Graph, seeds: readonly number[] = [1, 2]): void {
  for (const seed of seeds) {
    const data = graphData(before, seed)
    expectSameResults(runExactly(after, data), runExactly(before, data))
  }
}
