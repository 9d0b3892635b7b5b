// What a pass is, and the runner: it verifies what came out, names the pass that is to blame, and tells what each one changed.
import { Diagnostic } from '../ir/diagnostic.ts'
import type { Graph } from '../ir/graph.ts'
import { verify } from '../ir/verify.ts'

/** -O0 … -O3 */
export const optLevels = [0, 1, 2, 3] as const
export type OptLevel = (typeof optLevels)[number]

export interface Pass {
  /** verb first: `fuse-swiglu` */
  readonly name: string
  /** what it saves */
  readonly doc: string
  /** `exact`: the same roundings in the same order; `rounding`: an intermediate value is no longer rounded to its dtype */
  readonly numerics: 'exact' | 'rounding'
  readonly run: (graph: Graph) => Graph
}

/** One pass of a run, with the graphs before and after it. */
export interface PassRecord {
  readonly pass: Pass
  readonly before: Graph
  readonly after: Graph
  readonly ms: number
}

/**
 * Runs passes in order; a pass that changes nothing returns its graph itself. The graph that results is verified. Passes are
 * pure, so only if it is bad is every graph on the way verified too, to name the pass that made it: that is our bug.
 */
export function runPasses(graph: Graph, passes: readonly Pass[], onPass?: (record: PassRecord) => void): Graph {
  try {
    return verify(runAll(graph, passes, onPass))
  } catch (error) {
    if (error instanceof Diagnostic && error.code !== 'bad-graph') throw error
    verify(graph) // it may have been bad to begin with
    runAll(graph, passes, ({ pass, before, after }) => {
      if (after !== before) verifyAfter(pass, after)
    })
    throw error
  }
}

function runAll(graph: Graph, passes: readonly Pass[], onPass?: (record: PassRecord) => void): Graph {
  let current = graph
  for (const pass of passes) {
    const start = performance.now()
    const after = pass.run(current)
    onPass?.({ pass, before: current, after, ms: performance.now() - start })
    current = after
  }
  return current
}

function verifyAfter(pass: Pass, graph: Graph): void {
  try {
    verify(graph)
  } catch (error) {
    throw new Error(`internal: ${pass.name} made a bad graph, please report`, { cause: error })
  }
}
