import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../ir/builder.ts'
import { add, concatRows, matmul, silu, topk } from '../../ir/ops/index.ts'
import { printGraph } from '../../ir/print.ts'
import { tensor } from '../../ir/type.ts'

const start = () => {
  const graph = new GraphBuilder('g')
  return { graph, x: graph.input('x', tensor('f32', ['T', 4])) }
}

test('operands stand in the order that the op declares, whatever the caller writes', () => {
  const { graph, x } = start()
  const [a, b] = [graph.weight('a', 'f32', [2, 4]), graph.weight('b', 'f32', [3, 4])]
  graph.output('y', matmul({ w: concatRows({ b, a }), x }))
  expect(Object.values(graph.build().nodes).map((node) => Object.values(node.in))).toEqual([
    ['@a', '@b'],
    ['%x', '%0'],
  ])
})

test('labels say where in the model a node stands', () => {
  const { graph, x } = start()
  graph.output(
    'y',
    graph.within('blk.0', () => graph.within('ffn', () => silu({ x }, {}, 'act'))),
  )
  expect(printGraph(graph.build())).toContain('= silu(%x)  // blk.0.ffn.act')
})

test('ids of results avoid those of inputs', () => {
  const graph = new GraphBuilder()
  const y = silu({ x: graph.input('0', tensor('f32', [])) })
  expect(y.id).toBe('%1')
})

test('a weight asked for again is the same weight', () => {
  const { graph } = start()
  expect(graph.weight('w', 'f32', [4]).id).toBe(graph.weight('w', 'f32', [4]).id)
  expect(graph.build().weights).toEqual(['@w'])
})

test('handles know type, op, operands, attributes and uses', () => {
  const { graph, x } = start()
  const { values, indices } = topk({ x }, { k: 2 }, 'best')
  const y = add({ a: values, b: values })
  graph.output('y', y)
  expect([indices.op, indices.index, values.index, indices.attrs, indices.label]).toEqual([
    'topk',
    1,
    0,
    { k: 2 },
    'best',
  ])
  expect([values.uses, indices.uses, y.uses, x.uses]).toEqual([2, 0, 1, 1])
  expect([x.op, graph.weight('w', 'f32', [4]).op, y.in.a!.id]).toEqual(['input', 'weight', values.id])
})

test('a graph does not change when its builder goes on', () => {
  const { graph, x } = start()
  graph.output('y', silu({ x }))
  const built = graph.build()
  const text = printGraph(built)
  graph.output('z', silu({ x }))
  expect(printGraph(built)).toBe(text)
  expect(() => Object.assign(built.nodes['%0']!, { op: 'tanh' })).toThrow(TypeError)
})

describe('what a script may get wrong', () => {
  const other = start().x
  const mistakes: [string, () => unknown, string][] = [
    ['an input twice', () => start().graph.input('x', tensor('f32', [])), 'duplicate-input'],
    ['a weight of two types', () => twice((graph, i) => graph.weight('w', 'f32', [i])), 'duplicate-weight'],
    ['an output twice', () => twice((graph) => graph.output('y', graph.weight('w', 'f32', [1]))), 'duplicate-output'],
    ['values of two graphs', () => add({ a: start().x, b: other }), 'foreign-value'],
    ['an output of another graph', () => start().graph.output('y', other), 'foreign-value'],
    ['a name with a space', () => start().graph.input('a b', tensor('f32', [])), 'bad-name'],
    ['an output that is a number', () => start().graph.output('0', other), 'bad-name'],
    ['half a dim', () => start().graph.input('z', tensor('f32', [1.5])), 'bad-type'],
    ['an unknown dtype', () => start().graph.input('z', tensor('f64' as 'f32', [1])), 'bad-type'],
    ['no operands', () => silu({} as never), 'op-operand'],
    ['an operand too few', () => add({ a: start().x } as never), 'op-operand'],
    ['an operand too many', () => silu({ x: other, y: other } as never), 'op-operand'],
  ]
  function twice(build: (graph: GraphBuilder, i: number) => unknown): void {
    const { graph } = start()
    build(graph, 1)
    build(graph, 2)
  }
  test.each(mistakes)('%s', (_, build, code) => expect(build).toThrow(`error[${code}]`))
})
