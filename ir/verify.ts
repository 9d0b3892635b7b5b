// Checks every invariant of a graph:
//   1. each node's op is declared; operands are declared operands, complete; attributes parse
//   2. every value is defined once, and before it is used
//   3. the type of every result is what the op infers
//   4. a state that an op has updated is not read in its old version afterwards, and is updated by one op only
//   5. an op with the trait `load` reads weights (or other such results) alone
//   6. outputs exist and have different names; the table holds no node outside the order
// A violation is a bug of a pass or front end, unless the graph was written by hand: so it is a Diagnostic.
import { fail } from './diagnostic.ts'
import { describeNode, type Graph, isWeight, type Node, type ValueId } from './graph.ts'
import { inferTypes, parseAttrs } from './infer.ts'
import { findOp, type OpDefinition } from './op.ts'
import { printType, sameType, type TensorType } from './type.ts'

const inferred = new Map<string, TensorType[]>()

/** Returns the graph, so that it can stand in an expression; throws a Diagnostic `bad-graph` naming node and rule. */
export function verify(graph: Graph): Graph {
  const defined = new Set<ValueId>([...graph.inputs, ...graph.weights])
  const loaded = new Set<ValueId>(graph.weights)
  const superseded = new Map<ValueId, ValueId>()
  const wrong = (node: Node, message: string, facts: [string, string][] = []) =>
    fail({ code: 'bad-graph', message, facts: [['at', describeNode(graph, node)], ...facts] })

  for (const id of defined)
    if (!graph.types[id]) fail({ code: 'bad-graph', message: `${id} has no type`, facts: [['at', `@${graph.name}`]] })
  if (Object.keys(graph.nodes).length !== graph.order.length) {
    fail({ code: 'bad-graph', message: 'the table of nodes and their order differ', facts: [['at', `@${graph.name}`]] })
  }
  for (const id of graph.order) {
    const node = graph.nodes[id]
    if (!node || node.out[0] !== id)
      fail({ code: 'bad-graph', message: `no node ${id}`, facts: [['at', `@${graph.name}`]] })
    const op = findOp(node.op) ?? wrong(node, `op ${node.op} is not declared`)
    for (const [name, operand] of Object.entries(node.in)) {
      if (!defined.has(operand)) wrong(node, `operand ${name} (${operand}) is used before it is defined`)
      const updater = superseded.get(operand)
      if (updater)
        wrong(node, `operand ${name} (${operand}) is an old version of a state`, [['updated', `by ${updater}`]])
      if (op.traits.includes('load') && !loaded.has(operand))
        wrong(node, `${node.op} reads ${operand}, which is not a weight`)
    }
    checkTypes(graph, node, op, wrong)
    for (const state of Object.values(op.aliases)) superseded.set(node.in[state]!, node.id)
    for (const out of node.out) {
      if (defined.has(out)) wrong(node, `${out} is defined twice`)
      if (isWeight(out)) wrong(node, `${out} has the name of a weight`)
      defined.add(out)
      if (op.traits.includes('load')) loaded.add(out)
    }
  }
  const names = new Set<string>()
  for (const { name, value } of graph.outputs) {
    const fault = !defined.has(value)
      ? `output ${name} (${value}) is not defined`
      : names.has(name)
        ? `output ${name} is named twice`
        : superseded.has(value)
          ? `output ${name} (${value}) is an old version of a state`
          : ''
    if (fault) fail({ code: 'bad-graph', message: fault, facts: [['at', `@${graph.name}`]] })
    names.add(name)
  }
  return graph
}

type Wrong = (node: Node, message: string, facts?: [string, string][]) => never

/** Inference is pure, so equal applications (32 equal layers) are inferred once. */
function checkTypes(graph: Graph, node: Node, op: OpDefinition, wrong: Wrong): void {
  const operands = Object.fromEntries(Object.entries(node.in).map(([name, id]) => [name, graph.types[id]!]))
  const key = `${node.op}|${Object.entries(operands).map(([name, t]) => `${name}:${printType(t)}`)}|${JSON.stringify(node.attrs)}`
  let types = inferred.get(key)
  if (!types) {
    types = inferTypes(op, operands, parseAttrs(op, node.attrs))
    if (inferred.size > 10_000) inferred.clear()
    inferred.set(key, types)
  }
  if (types.length !== node.out.length)
    wrong(node, `${node.op} has ${types.length} results, the node ${node.out.length}`)
  for (const [i, out] of node.out.entries()) {
    const stated = graph.types[out]
    if (!stated || !sameType(stated, types[i]!)) {
      wrong(node, `type of ${out} is not what ${node.op} gives`, [
        ['expected', printType(types[i]!)],
        ['got', stated ? printType(stated) : 'none'],
      ])
    }
  }
}
