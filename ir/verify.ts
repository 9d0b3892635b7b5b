// Checks every invariant of a graph:
//   1. each node's op is declared; operands are complete and known; attributes are as zod returns them, defaults filled in
//   2. every value is defined once, and before it is used; ids of weights begin with `@`, all others with `%`
//   3. the type of every result is what the op infers; types of inputs and weights are possible, weights have fixed shapes
//   4. a state that an op has updated is not read in its old version afterwards, and is updated by one op only
//   5. an op with the trait `load` reads weights (or other such results) alone
//   6. outputs exist and have different names
//   7. the tables hold the nodes of the order and the types of their values, and nothing else
// A violation is a bug of a pass or front end, unless the graph was written by hand: so it is a Diagnostic.
import { Diagnostic, fail } from './diagnostic.ts'
import { describeNode, type Graph, isWeight, type Node, type ValueId } from './graph.ts'
import { inferTypes, isInferredWith, parseAttrs, rememberTypes } from './infer.ts'
import { findOp, type OpDefinition } from './op.ts'
import { printType, sameType, type TensorType, typeFault } from './type.ts'

/** Returns the graph, so that it can stand in an expression; throws a Diagnostic `bad-graph` naming node and rule. */
export function verify(graph: Graph): Graph {
  const inGraph = (message: string): never => fail({ code: 'bad-graph', message, facts: [['at', `@${graph.name}`]] })
  const defined = new Set<ValueId>()
  const loaded = new Set<ValueId>(graph.weights)
  const superseded = new Map<ValueId, ValueId>()
  const wrong: Wrong = (node, message, facts = []) =>
    fail({ code: 'bad-graph', message, facts: [['at', describeNode(graph, node)], ...facts] })

  for (const id of [...graph.inputs, ...graph.weights]) {
    const type = graph.types[id] ?? inGraph(`${id} has no type`)
    if (defined.has(id)) inGraph(`${id} is declared twice`)
    defined.add(id)
    const fault = typeFault(type)
    if (fault) inGraph(`${id}: ${fault}`)
  }
  for (const id of graph.inputs) if (!id.startsWith('%')) inGraph(`input ${id} does not begin with %`)
  for (const id of graph.weights) {
    const { state, shape } = graph.types[id]!
    if (!isWeight(id)) inGraph(`weight ${id} does not begin with @`)
    if (state || shape.some((dim) => typeof dim !== 'number'))
      inGraph(`weight ${id} must have a fixed shape and be no state, is ${printType(graph.types[id]!)}`)
  }
  for (const id of graph.order) {
    const node = graph.nodes[id] ?? inGraph(`no node ${id}`)
    if (node.id !== id || node.out[0] !== id) wrong(node, `the node is filed as ${id}`)
    const op = findOp(node.op) ?? wrong(node, `op ${node.op} is not declared`)
    const isLoad = op.traits.includes('load')
    for (const name in node.in) {
      const operand = node.in[name]!
      if (!defined.has(operand)) wrong(node, `operand ${name} (${operand}) is used before it is defined`)
      if (superseded.has(operand))
        wrong(node, `operand ${name} (${operand}) is an old version of a state`, [
          ['updated', `by ${superseded.get(operand)}`],
        ])
      if (isLoad && !loaded.has(operand)) wrong(node, `${node.op} reads ${operand}, which is not a weight`)
    }
    checkTypes(graph, node, op, wrong)
    for (const result in op.aliases) {
      const state = node.in[op.aliases[result]!]!
      if (superseded.has(state)) wrong(node, `${node.op} updates ${state} twice`)
      superseded.set(state, node.id)
    }
    for (const out of node.out) {
      if (defined.has(out)) wrong(node, `${out} is defined twice`)
      if (!out.startsWith('%')) wrong(node, `result ${out} does not begin with %`)
      defined.add(out)
      if (isLoad) loaded.add(out)
    }
  }
  if (Object.keys(graph.nodes).length !== graph.order.length) inGraph('the table of nodes and their order differ')
  if (Object.keys(graph.types).length !== defined.size) inGraph('the table of types holds values that are not defined')
  const names = new Set<string>()
  for (const { name, value } of graph.outputs) {
    if (!defined.has(value)) inGraph(`output ${name} (${value}) is not defined`)
    if (names.has(name)) inGraph(`output ${name} is named twice`)
    if (superseded.has(value)) inGraph(`output ${name} (${value}) is an old version of a state`)
    names.add(name)
  }
  return graph
}

type Wrong = (node: Node, message: string, facts?: readonly (readonly [string, string])[]) => never

/** After a pass, only what it changed is inferred again. */
function checkTypes(graph: Graph, node: Node, op: OpDefinition, wrong: Wrong): void {
  if (isInferredWith(node, graph.types)) return
  const results = inferNode(graph, node, op, wrong)
  if (results.length !== node.out.length)
    wrong(node, `${node.op} has ${results.length} results, the node ${node.out.length}`)
  for (const [i, out] of node.out.entries()) {
    const stated = graph.types[out] ?? wrong(node, `${out} has no type`)
    if (sameType(stated, results[i]!)) continue
    wrong(node, `type of ${out} is not what ${node.op} gives`, [
      ['expected', printType(results[i]!)],
      ['got', printType(stated)],
    ])
  }
  rememberTypes(node, graph.types)
}

function inferNode(graph: Graph, node: Node, op: OpDefinition, wrong: Wrong): readonly TensorType[] {
  const operands: Record<string, TensorType> = {}
  for (const name in node.in) operands[name] = graph.types[node.in[name]!]!
  try {
    const attrs = parseAttrs(op, node.attrs)
    for (const name in attrs)
      if (JSON.stringify(attrs[name]) !== JSON.stringify(node.attrs[name]))
        wrong(node, `attribute ${name} of ${node.op} must be written out: ${JSON.stringify(attrs[name])}`)
    return inferTypes(op, operands, node.attrs)
  } catch (error) {
    if (!(error instanceof Diagnostic) || error.code === 'bad-graph') throw error
    return wrong(node, error.summary, error.facts)
  }
}
