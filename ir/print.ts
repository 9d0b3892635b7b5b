// The text form of a graph: stable, for people and for golden tests. `parse(print(g))` gives g back.
import { fail } from './diagnostic.ts'
import { type Attrs, type AttrValue, type Graph, type Node, nodesOf, typeOf, type ValueId } from './graph.ts'
import { opNamed } from './op.ts'
import { shown } from './shown.ts'
import { printType } from './type.ts'

/**
 * graph @mlp(%x: f32[T, 64]) {
 *   @up: f16[128, 64]
 *   %0: f32[T, 128] = matmul(%x, @up)  // blk.0.ffn_up
 *   return y = %0
 * }
 */
export function printGraph(graph: Graph): string {
  if (typeof graph !== 'object' || graph === null || !Array.isArray(graph.order))
    fail({
      code: 'bad-argument',
      message: `printGraph takes a graph, not ${shown(graph)}`,
      help: 'make one with GraphBuilder and its build()',
    })
  const declare = (id: ValueId) => `${id}: ${printType(typeOf(graph, id))}`
  const returns = graph.outputs.map(({ name, value }) => ` ${name} = ${value}`).join(',')
  return [
    `graph @${graph.name}(${graph.inputs.map(declare).join(', ')}) {`,
    ...graph.weights.map((id) => `  ${declare(id)}`),
    ...nodesOf(graph).map((node) => `  ${printNode(graph, node)}`),
    `  return${returns}`,
    '}',
  ].join('\n')
}

/** One line of the graph: `%12: f32[T, 64] = rms_norm(%11, @blk.0.attn_norm) {eps = 1e-5}`. */
export function printNode(graph: Graph, node: Node): string {
  const op = opNamed(node.op)
  const results = node.out.map((id) => `${id}: ${printType(typeOf(graph, id))}`).join(', ')
  const required = Object.keys(op.operands).map((name) => node.in[name]!)
  const optional = Object.keys(op.optional)
    .filter((name) => node.in[name])
    .map((name) => `${name} = ${node.in[name]}`)
  const label = node.label ? `  // ${node.label}` : ''
  return `${results} = ${node.op}(${[...required, ...optional].join(', ')})${printAttrs(node.attrs)}${label}`
}

function printAttrs(attrs: Attrs): string {
  const set = Object.entries(attrs).filter((entry): entry is [string, AttrValue] => entry[1] !== undefined)
  return set.length ? ` {${set.map(([name, value]) => `${name} = ${printAttr(value)}`).join(', ')}}` : ''
}

function printAttr(value: AttrValue): string {
  if (typeof value === 'object') return `[${value.map(printAttr).join(', ')}]`
  if (typeof value === 'string') return JSON.stringify(value)
  return typeof value === 'number' ? printNumber(value) : String(value)
}

/** The shortest text that reads back as the same number. */
function printNumber(value: number): string {
  if (Object.is(value, -0)) return '-0'
  const exponential = value.toExponential()
  return Number.isFinite(value) && exponential.length < String(value).length
    ? exponential.replace('e+', 'e')
    : String(value)
}
