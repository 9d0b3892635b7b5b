// The makers of passes: a rule that is tried at every node of an op, and an edit that walks the graph itself. They hide from both
// how the graph is changed (rewriter.ts).
import { checkFields, hintFor } from '../ir/declaration.ts'
import { Diagnostic, fail } from '../ir/diagnostic.ts'
import { describeNode } from '../ir/graph.ts'
import { allOps, findOp, opNamed } from '../ir/op.ts'
import { sameType } from '../ir/type.ts'
import type { Value } from '../ir/value.ts'
import type { Pass } from './pass.ts'
import { Rewriter } from './rewriter.ts'

type About = Pick<Pass, 'name' | 'doc' | 'numerics'>

/** What `rewritePass` is given. */
interface Rewrite extends About {
  /** the op that the rule looks at: its name, or the op itself */
  readonly root: string | { readonly definition: { readonly name: string } }
  /**
   * Given the value of a root node, the value (or, for a root with several results, the values) to put in its place, or
   * null. Nodes that the rule builds stand at the root's place.
   */
  readonly rule: (root: Value, rewriter: Rewriter) => Value | readonly Value[] | null
}

const fields = { required: ['name', 'root', 'rule'], optional: ['doc', 'numerics'] }

/** A pass of one rule, tried at every node of its root op. */
export function rewritePass(rewrite: Rewrite): Pass {
  checkFields('bad-pass', `pass ${rewrite?.name}`, rewrite, fields)
  const { rule, ...about } = rewrite
  const rootOp = typeof about.root === 'string' ? about.root : about.root.definition.name
  return editPass({ ...about, root: rootOp }, (rewriter) => {
    for (const root of rewriter.valuesOf(rootOp)) {
      const node = rewriter.nodeOf(root.id)!
      try {
        const found = rule(root, rewriter)
        if (!found) continue
        const values = Array.isArray(found) ? (found as readonly Value[]) : [found as Value]
        for (const [i, value] of values.entries()) rewriter.replace(rewriter.value(node.out[i]!), value)
      } catch (error) {
        throw atNode(error, about.name, describeNode(rewriter.graph, node))
      }
    }
  })
}

/** The error of a rule, with the node that it was tried at. */
function atNode(error: unknown, pass: string, at: string): unknown {
  if (error instanceof Diagnostic)
    return new Diagnostic(
      {
        code: error.code,
        message: error.summary,
        facts: [...error.facts, ['pass', pass], ['at', at]],
        ...(error.help ? { help: error.help } : {}),
      },
      { cause: error },
    )
  if (error instanceof Error) error.message += ` (at ${at})`
  return error
}

/** A pass that edits freely; a graph without its `root` op, if it names one, is left alone. */
export function editPass(about: About & { readonly root?: string }, edit: (rewriter: Rewriter) => void): Pass {
  const { root, name, doc, numerics } = about
  return {
    name,
    doc,
    numerics,
    run(graph) {
      if (root && !findOp(root))
        fail({
          code: 'bad-pass',
          message: `pass ${name} looks for the op \`${root}\`, which there is not`,
          help: hintFor(
            root,
            allOps().map((op) => op.name),
          ),
        })
      if (root && !graph.order.some((id) => graph.nodes[id]!.op === root)) return graph
      const rewriter = new Rewriter(graph)
      edit(rewriter)
      return rewriter.finish()
    },
  }
}

/** True if a value is a weight, or computed from weights alone when they are loaded. */
export const isLoaded = (value: Value): boolean =>
  value.op === 'weight' || (value.op !== 'input' && opNamed(value.op).traits.includes('load'))

/** True if two values have one dtype and shape: an elementwise op of them repeats neither. */
export const alike = (a: Value, b: Value): boolean => sameType(a.type, b.type)
