// The proof that a pass is right: both graphs run through the reference executor, in f64, on the same data. Tests of our passes
// use it, and `checkPasses` when a graph is compiled.
import { Diagnostic, type Fact, fail } from '../ir/diagnostic.ts'
import { type Graph, typeOf } from '../ir/graph.ts'
import { differenceOf, type GraphData, graphData, runExactly } from '../ir/graph-data.ts'
import type { HostTensor } from '../ir/host-tensor.ts'
import { elementCount } from '../ir/type.ts'
import { printChanges } from './changes.ts'
import type { PassRecord } from './pass.ts'

const seeds = [1, 2] as const
/** Weights that the reference executor is asked to multiply by: above that a check takes minutes. */
const mostElements = 2 ** 27
const shownLines = 24

interface Run {
  readonly data: GraphData
  readonly results: Readonly<Record<string, HostTensor>>
}

/**
 * To be called with each pass of a run, in order. Diagnostics: `wrong-pass` for a pass that changes what a graph computes,
 * `unchecked-passes` for a graph that is too large, or whose ops take no random numbers.
 */
export function passChecker(): (record: PassRecord) => void {
  /** of the graph that the last pass made: the next one begins with it */
  let known: { readonly graph: Graph; readonly runs: readonly Run[] } | undefined
  return ({ pass, before, after }) => {
    if (after === before) return
    const runs = known?.graph === before ? known.runs : runsOf(before)
    const now = runs.map(({ data }): Run => ({ data, results: runExactly(after, data) }))
    for (const [i, { results }] of now.entries()) {
      const difference = differenceOf(results, runs[i]!.results)
      if (difference) wrongPass(pass.name, before, after, [['seed', `${seeds[i]}: ${difference}`]])
    }
    known = { graph: after, runs: now }
  }
}

function runsOf(graph: Graph): readonly Run[] {
  const elements = graph.weights.reduce((sum, id) => sum + elementCount(typeOf(graph, id)), 0)
  if (elements > mostElements)
    fail({
      code: 'unchecked-passes',
      message: `graph @${graph.name} is too large to check its passes`,
      facts: [['weights', `${elements} values, the reference executor is asked for at most ${mostElements}`]],
      help: 'check a graph of the same structure with smaller dims',
    })
  return seeds.map((seed) => runOf(graph, seed))
}

/** Whole numbers of which the graph does not say what they are may be indices: small ones fit everything. */
function runOf(graph: Graph, seed: number): Run {
  const on = (data: GraphData): Run => ({ data, results: runExactly(graph, data) })
  try {
    return on(graphData(graph, seed))
  } catch (error) {
    if (!(error instanceof Diagnostic && error.code === 'op-index')) throw unchecked(graph, error)
  }
  try {
    return on(graphData(graph, seed, {}, 2))
  } catch (error) {
    throw unchecked(graph, error)
  }
}

function unchecked(graph: Graph, error: unknown): Diagnostic {
  const said = error instanceof Diagnostic ? error.summary : error instanceof Error ? error.message : String(error)
  return new Diagnostic(
    {
      code: 'unchecked-passes',
      message: `graph @${graph.name} cannot run on random inputs: ${said}`,
      facts: error instanceof Diagnostic ? error.facts : [],
      help: 'leave checkPasses out for this graph, or let the references of its ops take any value',
    },
    { cause: error },
  )
}

function wrongPass(name: string, before: Graph, after: Graph, facts: readonly Fact[]): never {
  const lines = printChanges(before, after).split('\n')
  const shown = [
    ...lines.slice(0, shownLines),
    ...(lines.length > shownLines ? [`… ${lines.length - shownLines} more`] : []),
  ]
  return fail({
    code: 'wrong-pass',
    message: `pass ${name} changes what graph @${before.name} computes`,
    facts: [...facts, ['changes', shown.join('\n')]],
    help: 'both graphs ran through the reference executor in f64 on the same inputs: mend the rule, or its guards',
  })
}
