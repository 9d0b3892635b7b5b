// One test an invariant of verify.ts.
import { expect, test } from 'vitest'
import { Diagnostic } from '../../ir/diagnostic.ts'
import type { Graph, Node } from '../../ir/graph.ts'
import { parseGraph } from '../../ir/parse.ts'
import { state, tensor } from '../../ir/type.ts'
import { verify } from '../../ir/verify.ts'

const good = parseGraph(`graph @g(%x: f32[T, 4], %c: state f32[P, 1, 4, 4], %i: i32[T], %p: i32[R, M]) {
  @w: f32[4, 4]
  %0: f32[T, 4] = matmul(%x, @w)
  %1: f32[T, 1, 4] = reshape(%0) {shape = ["T", 1, 4]}
  %2: state f32[P, 1, 4, 4] = kv_append(%c, %1, %i, %i, %p)  // append
  %3: f32[8, 4] = concat_rows(@w, @w)
  return y = %0, c = %2
}`)

const withNode = (id: string, changes: Partial<Node>, base: Graph = good): Graph => ({
  ...base,
  nodes: { ...base.nodes, [id]: { ...base.nodes[id]!, ...changes } },
})
const withType = (id: string, type: Graph['types'][string]): Graph => ({
  ...good,
  types: { ...good.types, [id]: type },
})
const append = good.nodes['%2']!

const broken: [rule: string, graph: Graph, message: string][] = [
  ['ops are declared', withNode('%0', { op: 'matmull' }), 'op matmull is not declared'],
  ['operands are complete', withNode('%0', { in: { x: '%x' } }), 'matmul needs an operand `w`'],
  ['operands are known', withNode('%0', { in: { x: '%x', w: '@w', z: '%x' } }), 'matmul has no operand `z`'],
  ['attributes parse', withNode('%0', { attrs: { dtype: 'i32' } }), 'matmul does not take these attributes'],
  ['attributes are known', withNode('%0', { attrs: { by: 2 } }), 'matmul does not take these attributes'],
  ['defaults are written out', parseAndDrop(), 'attribute dtype of embed must be written out: "f32"'],
  ['values are defined once', { ...good, order: [...good.order, '%0'] }, '%0 is defined twice'],
  ['inputs are declared once', { ...good, inputs: [...good.inputs, '%x'] }, '%x is declared twice'],
  [
    'values are defined before they are used',
    { ...good, order: ['%1', '%0', '%2', '%3'] },
    'operand x (%0) is used before it is defined',
  ],
  [
    'operands exist',
    withNode('%0', { in: { x: '%nowhere', w: '@w' } }),
    'operand x (%nowhere) is used before it is defined',
  ],
  [
    'inputs begin with %',
    { ...good, inputs: [...good.inputs, '@v'], types: { ...good.types, '@v': tensor('f32', [4]) } },
    'input @v does not begin with %',
  ],
  [
    'weights begin with @',
    { ...good, weights: ['@w', '%v'], types: { ...good.types, '%v': tensor('f32', [4]) } },
    'weight %v does not begin with @',
  ],
  ['nodes are filed under their ids', withNode('%0', { id: '%5' }), 'the node is filed as %0'],
  ['the order names nodes', { ...good, order: [...good.order, '%9'] }, 'no node %9'],
  ['result types are inferred', withType('%0', tensor('f16', ['T', 4])), 'type of %0 is not what matmul gives'],
  [
    'ops give their results',
    withNode('%0', { out: ['%0', '%9'] }, withType('%9', tensor('f32', []))),
    'matmul has 1 results, the node 2',
  ],
  ['inputs have types', { ...good, inputs: [...good.inputs, '%n'] }, '%n has no type'],
  ['types are possible', withType('%x', tensor('f32', ['T', 4.5])), '%x: a dim must be a whole number'],
  [
    'quantised rows are whole',
    withType('@w', tensor('q8_0', [4, 4])),
    '@w: rows of q8_0 must be a multiple of 32, are 4',
  ],
  [
    'weights have fixed shapes',
    withType('@w', tensor('f32', ['T', 4])),
    'weight @w must have a fixed shape and be no state',
  ],
  ['weights are no states', withType('@w', state('f32', [4, 4])), 'weight @w must have a fixed shape and be no state'],
  [
    'old versions of a state are not read',
    withStale('%9', 'kv_read', { cache: '%c', page_table: '%p' }),
    'operand cache (%c) is an old version of a state',
  ],
  [
    'a state is updated by one op only',
    withStale('%9', 'kv_append', append.in),
    'operand cache (%c) is an old version of a state',
  ],
  [
    'old versions of a state are no outputs',
    { ...good, outputs: [{ name: 'c', value: '%c' }] },
    'output c (%c) is an old version of a state',
  ],
  [
    'what is computed at loading reads weights',
    withNode('%3', { in: { a: '@w', b: '%0' } }),
    'concat_rows reads %0, which is not a weight',
  ],
  ['outputs exist', { ...good, outputs: [{ name: 'y', value: '%9' }] }, 'output y (%9) is not defined'],
  [
    'outputs have different names',
    { ...good, outputs: [good.outputs[0]!, good.outputs[0]!] },
    'output y is named twice',
  ],
  [
    'no node outside the order',
    { ...good, order: good.order.slice(0, -1) },
    'the table of nodes and their order differ',
  ],
  [
    'no type outside the values',
    withType('%9', tensor('f32', [])),
    'the table of types holds values that are not defined',
  ],
]

function parseAndDrop(): Graph {
  const graph = parseGraph(
    'graph @g(%i: i32[T]) { @w: f32[4, 4] %0: f32[T, 4] = embed(%i, @w) {dtype = "f32"} return %0 }',
  )
  return withNode('%0', { attrs: {} }, graph)
}

function withStale(id: string, op: string, operands: Node['in']): Graph {
  const type = op === 'kv_read' ? tensor('f32', ['R', 'L', 1, 4]) : state('f32', ['P', 1, 4, 4])
  const node: Node = { id, op, in: operands, attrs: op === 'kv_read' ? { dtype: 'f32' } : {}, out: [id] }
  return {
    ...good,
    nodes: { ...good.nodes, [id]: node },
    types: { ...good.types, [id]: type },
    order: [...good.order, id],
  }
}

test('a good graph is returned itself', () => expect(verify(good)).toBe(good))

test.each(broken)('%s', (_, graph, message) => {
  const thrown = (() => {
    try {
      verify(graph)
    } catch (error) {
      return error
    }
  })() as Diagnostic
  expect(thrown).toBeInstanceOf(Diagnostic)
  expect(thrown.code).toBe('bad-graph')
  expect(thrown.summary).toContain(message)
  expect(thrown.facts[0]![0]).toBe('at')
  expect(thrown.facts[0]![1]).toContain('@g')
})

test('the error as people read it', () =>
  expect(() => verify(withNode('%2', { in: { ...append.in, x: '%0' } }))).toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[bad-graph]: x must have 3 dims, is f32[T, 4]
      at     %2 (append) in @g]
  `))

test('an op that reads a state twice as two operands cannot update it', () => {
  const twice = parseGraph(`graph @g(%c: state f32[P, 1, 4, 4], %q: f32[T, 1, 4], %i: i32[T], %p: i32[R, M]) {
    %0: f32[T, 1, 4], %1: state f32[P, 1, 4, 4], %2: state f32[P, 1, 4, 4] = rope_kv_append(%q, %q, %q, %c, %c, %i, %i, %p) {theta = 100, dims = 4, style = "half-split"}
    return k = %1, v = %2 }`)
  expect(() => verify(twice)).toThrow('rope_kv_append updates %c twice')
})
