import { describe, expect, test } from 'vitest'
import { graphData, runExactly } from '../../ir/graph-data.ts'
import { hostTensor } from '../../ir/host-tensor.ts'
import { parseGraph } from '../../ir/parse.ts'
import { printGraph } from '../../ir/print.ts'
import { executeReference, expandNode } from '../../ir/reference.ts'
import { specialize } from '../../ir/specialize.ts'
import { verify } from '../../ir/verify.ts'
import { tinyStep } from '../tiny-step.ts'

const none = () => expect.fail('no weight is asked for')

describe('a run', () => {
  const graph = parseGraph(`graph @g(%x: f32[T, 2], %c: state f32[P, 1, 2, 2], %i: i32[T], %s: i32[T], %p: i32[R, M]) {
    %0: f32[T, 1, 2] = reshape(%x) {shape = ["T", 1, 2]}
    %1: state f32[P, 1, 2, 2] = kv_append(%c, %0, %i, %s, %p)
    %2: f32[R, L, 1, 2] = kv_read(%1, %p) {dtype = "f32"}
    return c = %1, read = %2 }`)
  const inputs = () => ({
    x: hostTensor('f32', [2, 2], [0.1, 2, 3, 4]),
    c: hostTensor('f32', [2, 1, 2, 2], new Float32Array(8)),
    i: hostTensor('i32', [2], [1, 2]),
    s: hostTensor('i32', [2], [0, 0]),
    p: hostTensor('i32', [1, 2], [1, 0]),
  })
  test('updates states in place, and the next run goes on from there', () => {
    const given = inputs()
    const first = executeReference(graph, { inputs: given, weight: none, bindings: { L: 3 } })
    expect(first.c!.data).toBe(given.c.data)
    expect([...first.read!.data].map(Math.fround)).toEqual([0, 0, 0.1, 2, 3, 4].map(Math.fround))
    const second = { ...given, i: hostTensor('i32', [2], [0, 3]) }
    expect(
      [...executeReference(graph, { inputs: second, weight: none, bindings: { L: 4 } }).read!.data].map(Math.fround),
    ).toEqual([0.1, 2, 0.1, 2, 3, 4, 3, 4].map(Math.fround))
  })
  test('holds values in f64 where asked, and leaves the caller’s f32 alone', () => {
    const given = inputs()
    const { c } = executeReference(graph, { inputs: given, weight: none, bindings: { L: 3 }, exact: true })
    expect(c!.data).toBeInstanceOf(Float64Array)
    expect([...given.c.data]).toEqual(Array(8).fill(0))
  })
  test('shows every value as it is computed', () => {
    const seen: string[] = []
    executeReference(graph, { inputs: inputs(), weight: none, bindings: { L: 3 }, onValue: (id) => seen.push(id) })
    expect(seen).toEqual(['%0', '%1', '%2'])
  })
  const wrong: [string, () => Record<string, ReturnType<typeof hostTensor>>, string][] = [
    ['an input is missing', () => ({ ...inputs(), x: undefined as never }), 'input x is missing'],
    ['a rank is wrong', () => ({ ...inputs(), x: hostTensor('f32', [4], [1, 2, 3, 4]) }), 'input x has 1 dims'],
    [
      'a fixed dim is wrong',
      () => ({ ...inputs(), x: hostTensor('f32', [2, 1], [1, 2]) }),
      'dim 1 of input x must be 2, is 1',
    ],
    [
      'two inputs disagree on a symbol',
      () => ({ ...inputs(), i: hostTensor('i32', [1], [0]) }),
      'dim 0 of input i must be 2 (T), is 1',
    ],
    [
      'numbers are of the wrong kind',
      () => ({ ...inputs(), i: hostTensor('f32', [2], [0, 1]) }),
      'input i must be i32',
    ],
    [
      'values are missing',
      () => ({ ...inputs(), x: { dtype: 'f32', shape: [2, 2], data: new Float32Array(3) } }),
      'input x has 3 values',
    ],
  ]
  test.each(wrong)('%s', (_, given, message) =>
    expect(() => executeReference(graph, { inputs: given(), weight: none, bindings: { L: 3 } })).toThrow(
      `error[graph-input]: ${message}`,
    ),
  )
  test('a symbol has no value', () =>
    expect(() => executeReference(graph, { inputs: inputs(), weight: none })).toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-input]: L has no value
        graph  @g
        help: no shape of an input tells it: give it with the bindings, { L: … }]
    `))
  test('a binding contradicts a shape', () =>
    expect(() => executeReference(graph, { inputs: inputs(), weight: none, bindings: { L: 3, T: 5 } })).toThrow(
      'dim 0 of input x must be 5 (T), is 2',
    ))
})

test('no tokens at all', () => {
  const graph = tinyStep({}, { result: 'all-logits' })
  const results = runExactly(graph, graphData(graph, 1, { T: 0 }))
  expect(results.logits!.shape).toEqual([0, 20])
})

test('prefill of five tokens and five decode steps give the same logits', () => {
  const graph = tinyStep(
    { slidingWindow: 3, rope: { theta: 100, dims: 4, style: 'interleaved' } },
    { result: 'all-logits' },
  )
  const data = graphData(graph, 3, { T: 5, R: 1 })
  const start = Object.fromEntries(
    Object.entries(data.inputs).map(([name, t]) => [name, { ...t, data: new Float64Array(t.data) }]),
  )
  const at = (tokens: number[]) => ({
    ...start,
    tokens: hostTensor(
      'i32',
      [tokens.length],
      tokens.map((t) => data.inputs.tokens!.data[t]!),
    ),
    positions: hostTensor('i32', [tokens.length], tokens),
    seq: hostTensor(
      'i32',
      [tokens.length],
      tokens.map(() => 0),
    ),
    page_table: data.inputs.page_table!,
  })
  const whole = executeReference(graph, { ...data, inputs: at([0, 1, 2, 3, 4]), bindings: { L: 5 }, exact: true })
  const steps = [0, 1, 2, 3, 4].map((t) =>
    executeReference(graph, { ...data, inputs: at([t]), bindings: { L: t + 1 }, exact: true }),
  )
  const logits = steps.flatMap((step) => [...step.logits!.data])
  for (const [i, expected] of [...whole.logits!.data].entries()) expect(logits[i]).toBeCloseTo(expected, 10)
})

test('a fused op is its expansion', () => {
  const graph = parseGraph(`graph @g(%a: f32[T, 4], %b: f32[T, 4]) { @w: f32[4]
    %0: f32[T, 4], %1: f32[T, 4] = add_rms_norm(%a, %b, @w) {eps = 1e-5} return %1 }`)
  expect(printGraph(verify(expandNode(graph, graph.nodes['%0']!)))).toMatchInlineSnapshot(`
    "graph @add_rms_norm(%a: f32[T, 4], %b: f32[T, 4], %w: f32[4]) {
      %0: f32[T, 4] = add(%a, %b)
      %1: f32[T, 4] = rms_norm(%0, %w) {eps = 1e-5}
      return sum = %0, y = %1
    }"
  `)
})

describe('specialize', () => {
  test('binds symbols in types and in shapes that are attributes', () => {
    const graph = parseGraph(
      'graph @g(%x: f32[T, 4], %p: i32[R, M]) { %0: f32[T, 2, 2] = reshape(%x) {shape = ["T", 2, 2]} return y = %0, p = %p }',
    )
    expect(printGraph(verify(specialize(graph, { T: 1, R: 1 }, 'decode')))).toMatchInlineSnapshot(`
      "graph @decode(%x: f32[1, 4], %p: i32[1, M]) {
        %0: f32[1, 2, 2] = reshape(%x) {shape = [1, 2, 2]}
        return y = %0, p = %p
      }"
    `)
  })
  test('the decode step is the step', () => {
    const step = tinyStep({ attentionBias: true })
    const decode = verify(specialize(step, { T: 1, R: 1 }))
    const data = graphData(step, 5, { T: 1, R: 1 })
    const [a, b] = [runExactly(step, data), runExactly(decode, data)]
    expect(a).toEqual(b)
  })
  test('shares what holds no symbol, and knows nothing to bind', () => {
    const step = tinyStep()
    const decode = specialize(step, { T: 1 })
    expect(decode.nodes['%0']).toBe(step.nodes['%0'])
    expect(decode.types['@token_embd.weight']).toBe(step.types['@token_embd.weight'])
    expect(specialize(step, {})).toEqual(step)
  })
  test('never binds the length of the context', () =>
    expect(() => specialize(tinyStep(), { L: 4 })).toThrow('internal:'))
})
