// The reference executor: runs any graph, fused or not, on the references of its ops. It is the oracle of every kernel
// and pass test, and the slow path on a machine with neither GPU nor compiler.

import { GraphBuilder } from './builder.ts'
import { fail, invariant } from './diagnostic.ts'
import { type Graph, type Node, nodesOf, typeOf, type ValueId } from './graph.ts'
import { type HostTensor, type ReferenceContext, size, storage } from './host-tensor.ts'
import { opNamed } from './op.ts'
import './ops/index.ts'
import { type Bindings, type DimSymbol, isFloat, isQuant, printType, product, type TensorType, tensor } from './type.ts'

interface ReferenceRun {
  /** by name, without sigil; states are updated in place (in exact runs unless they hold f64, a copy is) */
  readonly inputs: Readonly<Record<string, HostTensor>>
  /** a weight by its name, without sigil: decoded values */
  readonly weight: (name: string, type: TensorType) => HostTensor
  /** symbols that no input shape tells, such as L */
  readonly bindings?: Bindings
  /** hold float values as f64, so that two forms of one graph can be compared almost exactly */
  readonly exact?: boolean
  /** sees each value as it is computed */
  readonly onValue?: (id: ValueId, value: HostTensor) => void
}

/** Runs `graph` and returns its outputs by name. */
export function executeReference(graph: Graph, run: ReferenceRun): Record<string, HostTensor> {
  const exact = run.exact ?? false
  const bindings = bindInputs(graph, run)
  const context: ReferenceContext = { bindings, floats: (n) => (exact ? new Float64Array(n) : new Float32Array(n)) }
  const values = new Map<ValueId, HostTensor>()
  for (const id of graph.inputs) values.set(id, widen(run.inputs[id.slice(1)]!, exact))
  const lastUse = lastUses(graph)
  const read = (id: ValueId): HostTensor => {
    const value =
      values.get(id) ?? (id.startsWith('@') ? widen(run.weight(id.slice(1), typeOf(graph, id)), exact) : undefined)
    invariant(value, `value ${id} was freed too early`)
    values.set(id, value)
    return value
  }
  for (const [at, node] of nodesOf(graph).entries()) {
    const operands = Object.fromEntries(Object.entries(node.in).map(([name, id]) => [name, read(id)]))
    const results = apply(graph, node, operands, context)
    for (const [i, id] of node.out.entries()) {
      values.set(id, results[i]!)
      run.onValue?.(id, results[i]!)
    }
    for (const id of [...Object.values(node.in), ...node.out])
      if ((lastUse.get(id) ?? -1) <= at && !id.startsWith('@')) values.delete(id)
  }
  return Object.fromEntries(graph.outputs.map(({ name, value }) => [name, read(value)]))
}

/** A fused op is its expansion; its reference is the reference of that. */
function apply(
  graph: Graph,
  node: Node,
  operands: Record<string, HostTensor>,
  context: ReferenceContext,
): HostTensor[] {
  const op = opNamed(node.op)
  if (op.reference) return op.reference(operands, node.attrs, context)
  const expansion = expandNode(graph, node)
  const values = new Map(Object.entries(node.in).map(([name], i) => [expansion.inputs[i]!, operands[name]!]))
  for (const inner of nodesOf(expansion)) {
    const innerOperands = Object.fromEntries(Object.entries(inner.in).map(([name, id]) => [name, values.get(id)!]))
    const results = apply(expansion, inner, innerOperands, context)
    for (const [i, id] of inner.out.entries()) values.set(id, results[i]!)
  }
  return expansion.outputs.map(({ value }) => values.get(value)!)
}

/** The expansion of a fused node as a graph: inputs in the order of the node's operands, outputs in that of its results. */
export function expandNode(graph: Graph, node: Node): Graph {
  const op = opNamed(node.op)
  invariant(op.expand, `${node.op} has neither reference nor expansion`)
  const builder = new GraphBuilder(node.op)
  const operands = Object.fromEntries(
    Object.entries(node.in).map(([name, id]) => [name, builder.input(name, typeOf(graph, id))]),
  )
  for (const [i, value] of op.expand(operands, node.attrs).entries()) builder.output(op.results[i]!, value)
  return builder.build()
}

/** Symbols take their values from the shapes of the inputs; a shape that does not fit is the caller's error. */
export function bindInputs(graph: Graph, run: Pick<ReferenceRun, 'inputs' | 'bindings'>): Bindings {
  const bindings: Bindings = { ...run.bindings }
  for (const id of graph.inputs) {
    const [type, name] = [typeOf(graph, id), id.slice(1)]
    const given = run.inputs[name]
    const wrong = (message: string): never =>
      fail({
        code: 'graph-input',
        message,
        facts: [
          ['graph', `@${graph.name}`],
          ['expected', `${name}: ${printType(type)}`],
          ['got', given ? printType(tensor(given.dtype, given.shape)) : 'nothing'],
        ],
      })
    if (!given) return wrong(`input ${name} is missing`)
    if (given.shape.length !== type.shape.length) wrong(`input ${name} has ${given.shape.length} dims`)
    for (const [i, dim] of type.shape.entries()) {
      const actual = given.shape[i]!
      const expected = typeof dim === 'number' ? dim : (bindings[dim] ?? actual)
      if (typeof dim === 'string') bindings[dim] = expected
      if (expected !== actual)
        wrong(
          `dim ${i} of input ${name} must be ${expected}${typeof dim === 'string' ? ` (${dim})` : ''}, is ${actual}`,
        )
    }
    if (given.data.length !== product(given.shape)) wrong(`input ${name} has ${given.data.length} values`)
    const alike = (isFloat(type.dtype) || isQuant(type.dtype)) === (isFloat(given.dtype) || isQuant(given.dtype))
    if (!alike) wrong(`input ${name} must be ${type.dtype}`)
  }
  for (const symbol of symbolsOf(graph))
    if (bindings[symbol] === undefined)
      fail({
        code: 'graph-input',
        message: `${symbol} has no value`,
        facts: [['graph', `@${graph.name}`]],
        help: `no shape of an input tells it: give it with the bindings, { ${symbol}: … }`,
      })
  return bindings
}

const symbols = new WeakMap<Graph, readonly DimSymbol[]>()

/** The symbols that stand in the types of a graph. */
export function symbolsOf(graph: Graph): readonly DimSymbol[] {
  const known = symbols.get(graph)
  if (known) return known
  const found = new Set(
    Object.values(graph.types).flatMap(({ shape }) => shape.filter((dim) => typeof dim === 'string')),
  )
  symbols.set(graph, [...found])
  return [...found]
}

function widen(value: HostTensor, exact: boolean): HostTensor {
  if (!exact || !(value.data instanceof Float32Array)) return value
  const data = storage(value.dtype, size(value), true)
  data.set(value.data)
  return { ...value, data }
}

/** value → index of the node that reads it last; outputs live to the end. */
function lastUses(graph: Graph): Map<ValueId, number> {
  const last = new Map<ValueId, number>()
  for (const [at, node] of nodesOf(graph).entries())
    for (const id of [...Object.values(node.in), ...node.out]) last.set(id, Math.max(at, last.get(id) ?? 0))
  for (const { value } of graph.outputs) last.set(value, Number.POSITIVE_INFINITY)
  return last
}
