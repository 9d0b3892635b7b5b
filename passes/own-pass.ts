// Passes of a user's own: what goes wrong in them is the user's to mend, so it is a Diagnostic that names the pass, said at once.
import { checkFields, inUserCode } from '../ir/declaration.ts'
import { Diagnostic, type Fact, fail } from '../ir/diagnostic.ts'
import type { Graph } from '../ir/graph.ts'
import { printType, sameType } from '../ir/type.ts'
import { verify } from '../ir/verify.ts'
import type { Pass } from './pass.ts'

const fields = { required: ['name', 'run'], optional: ['doc', 'numerics'] }

/** The pass, with its graph verified and compared in what callers see of it: inputs, outputs, weights. Diagnostics `bad-pass`. */
export function ownPass(pass: Pass): Pass {
  checkFields('bad-pass', 'a pass', pass, fields)
  const { name, run } = pass
  if (typeof name !== 'string' || !/^[\w-]+$/.test(name))
    fail({
      code: 'bad-pass',
      message: `a pass cannot be called ${JSON.stringify(name)}`,
      help: 'verb first: fuse-swiglu',
    })
  if (typeof run !== 'function') fail({ code: 'bad-pass', message: `run of pass ${name} must be a function` })
  return {
    ...pass,
    run(graph) {
      const at: Fact = ['in', `@${graph.name}`]
      const after: unknown = inUserCode('bad-pass', `pass ${name} failed`, [at], () => run(graph))
      if (after === graph) return graph
      const isGraph = typeof after === 'object' && after !== null && 'order' in after && 'nodes' in after
      if (!isGraph) fail({ code: 'bad-pass', message: `pass ${name} gave no graph`, facts: [at] })
      checkMade(name, graph, after as Graph)
      return after as Graph
    },
  }
}

function checkMade(name: string, before: Graph, after: Graph): void {
  const bad = (message: string, facts: readonly Fact[], cause?: unknown): never =>
    fail({ code: 'bad-pass', message: `pass ${name} made a bad graph: ${message}`, facts }, cause)
  try {
    verify(after)
  } catch (error) {
    if (error instanceof Diagnostic) bad(error.summary, error.facts, error)
    throw error
  }
  const inputs = ({ inputs: ids, types }: Graph) => ids.map((id) => `${id}: ${printType(types[id]!)}`).join(', ')
  const outputs = ({ outputs: list, types }: Graph) =>
    list.map(({ name: output, value }) => `${output}: ${printType(types[value]!)}`).join(', ')
  for (const [what, of] of [
    ['inputs', inputs],
    ['outputs', outputs],
  ] as const)
    if (of(before) !== of(after))
      bad(`its ${what} are others`, [
        ['before', of(before)],
        ['after', of(after)],
      ])
  for (const id of after.weights)
    if (!before.weights.includes(id) || !sameType(before.types[id]!, after.types[id]!))
      bad(`it reads a weight that was not there: ${id}: ${printType(after.types[id]!)}`, [])
}
