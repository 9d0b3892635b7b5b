// Graphs of one's own: typed arrays in and out, the same on the reference executor and the host.
import { describe, expect, test } from 'vitest'
import {
  type CompiledGraph,
  compileGraph,
  GraphBuilder,
  ops,
  parseGraph,
  printGraph,
  tensor,
} from '../../../src/index.ts'
import { normals } from '../../hf-writer.ts'

const noise = (seed: number, count: number): Float32Array => {
  const normal = normals(seed)
  return Float32Array.from({ length: count }, () => normal())
}

function mlp() {
  const g = new GraphBuilder('mlp')
  const x = g.input('x', tensor('f32', ['T', 24]))
  const hidden = ops.silu({
    x: ops.matmul({ x, w: g.weight('w1', 'f32', [40, 24]), bias: g.weight('b1', 'f32', [40]) }),
  })
  g.output('y', ops.matmul({ x: hidden, w: g.weight('w2', 'f16', [7, 40]) }))
  return g.build()
}
const weights = { w1: noise(1, 960), b1: noise(2, 40), w2: noise(3, 280) }

/** Largest difference, relative where values are above 1. */
const most = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  expect(a.length).toBe(b.length)
  return Math.max(0, ...Array.from(a, (v, i) => Math.abs(v - b[i]!) / Math.max(1, Math.abs(b[i]!))))
}

describe('values', () => {
  test('host and reference agree, for any length of the open dim', async () => {
    await using host = await compileGraph(mlp(), { device: 'host', weights, limits: { T: 33 } })
    await using reference = await compileGraph(mlp(), { device: 'reference', weights })
    for (const T of [1, 2, 33, 0, 5]) {
      const x = noise(10 + T, T * 24)
      const [a, b] = [(await host.run({ x })).y!, (await reference.run({ x })).y!]
      expect(a.shape).toEqual([T, 7])
      expect(most(a.data, b.data)).toBeLessThan(2e-5)
    }
    expect(host.program!.calls.length).toBeGreaterThan(0)
    expect(reference.program).toBeUndefined()
  })

  test('operands that no kernel takes where they lie are copied', async () => {
    const g = new GraphBuilder('turned')
    const x = ops.transpose({ x: g.input('x', tensor('f32', [6, 10])) }, { perm: [1, 0] }) // [10, 6]
    g.output('softmax', ops.softmax({ x }))
    g.output('norm', ops.rmsNorm({ x, w: g.weight('w', 'f32', [6]) }, { eps: 1e-5 }))
    g.output('sum', ops.add({ a: x, b: x }))
    g.output('same', x)
    const given = { x: noise(4, 60) }
    await using host = await compileGraph(g.build(), { device: 'host', weights: { w: noise(5, 6) } })
    await using reference = await compileGraph(g.build(), { device: 'reference', weights: { w: noise(5, 6) } })
    const [a, b] = [await host.run(given), await reference.run(given)]
    for (const name of ['softmax', 'norm', 'sum', 'same'])
      expect(most(a[name]!.data, b[name]!.data), name).toBeLessThan(1e-5)
  })

  test.each(['host', 'reference'])('states keep what they hold from run to run, on %s', async (device) => {
    const g = new GraphBuilder('cache')
    const cache = g.state('cache', 'f32', ['P', 1, 4, 2])
    const i32 = (name: string, dim: 'T' | 'M') => g.input(name, tensor('i32', dim === 'T' ? ['T'] : [1, 'M']))
    const [positions, seq, page_table] = [i32('positions', 'T'), i32('seq', 'T'), i32('page_table', 'M')]
    const x = g.input('x', tensor('f32', ['T', 1, 2]))
    const next = ops.kvAppend({ cache, x, positions, seq, page_table })
    g.output('cache', next)
    g.output('all', ops.kvRead({ cache: next, page_table }, { dtype: 'f32' }))
    await using graph = await compileGraph(g.build(), { device, limits: { P: 3, M: 2, T: 4, L: 8 } })
    const bindings = { P: 3, M: 2 }
    const step = (from: number, values: number[]) =>
      graph.run(
        {
          positions: values.map((_, i) => from + i),
          seq: values.map(() => 0),
          page_table: [2, 0],
          x: values.flatMap((v) => [v, -v]),
        },
        { ...bindings, T: values.length, L: from + values.length },
      )
    await step(0, [1, 2, 3])
    const { all } = await step(3, [4, 5])
    expect([...all!.data]).toEqual([1, -1, 2, -2, 3, -3, 4, -4, 5, -5])
  })

  test('text is as good as a builder', async () => {
    const graph = parseGraph(`graph @twice(%x: f32[T, 3]) {
      %y: f32[T, 3] = add(%x, %x)
      return y = %y
    }`)
    await using compiled = await compileGraph(graph, { device: 'host' })
    expect([...(await compiled.run({ x: [1, 2, 3] })).y!.data]).toEqual([2, 4, 6])
  })

  test('quantised weights are given as bytes', async () => {
    const g = new GraphBuilder('q')
    g.output('y', ops.matmul({ x: g.input('x', tensor('f32', ['T', 32])), w: g.weight('w', 'q8_0', [1, 32]) }))
    const bytes = new Uint8Array(34) // scale 1 as f16, then 32 signed bytes
    bytes.set([0x00, 0x3c, 1, 2, 253])
    const results = []
    for (const device of ['host', 'reference']) {
      await using graph = await compileGraph(g.build(), { device, weights: { w: { bytes } } })
      results.push((await graph.run({ x: Array.from({ length: 32 }, (_, i) => i + 1) })).y!.data[0])
    }
    expect(results).toEqual([1 * 1 + 2 * 2 - 3 * 3, 1 * 1 + 2 * 2 - 3 * 3])
  })
})

describe('symbols of one’s own', () => {
  /** x[B, T, D] normed, weighed by the softmax of s[B, T], and rows of u[B, D] beside. */
  const batched = () => {
    const g = new GraphBuilder('batched')
    const x = g.input('x', tensor('f32', ['B', 'T', 12]))
    const u = g.input('u', tensor('f16', ['B', 12]))
    const normed = ops.rmsNorm({ x, w: g.weight('w', 'f32', [12]) }, { eps: 1e-5 })
    g.output('heat', ops.softmax({ x: ops.mul({ a: ops.silu({ x: normed }), b: normed }) }))
    g.output('y', ops.matmul({ x: u, w: g.weight('p', 'f32', [5, 12]) }))
    g.output('flat', ops.reshape({ x: normed }, { shape: ['B', 'T', 3, 4] }))
    return g.build()
  }
  const values = { w: noise(1, 12), p: noise(2, 60) }

  test('B and T through text, reference, kernels and runs of any size', async () => {
    const graph = batched()
    expect(printGraph(parseGraph(printGraph(graph)))).toBe(printGraph(graph))
    await using host = await compileGraph(graph, { device: 'host', weights: values, limits: { B: 4, T: 9 } })
    await using reference = await compileGraph(graph, { device: 'reference', weights: values })
    for (const [B, T] of [
      [1, 1],
      [3, 7],
      [4, 9],
      [2, 0],
    ] as const) {
      const given = { x: noise(B, B * T * 12), u: noise(T, B * 12) } // u tells B, then x tells T
      const [a, b] = [await host.run(given), await reference.run(given)]
      expect(a.heat!.shape).toEqual([B, T, 12])
      expect(a.flat!.shape).toEqual([B, T, 3, 4])
      for (const name of ['heat', 'y', 'flat']) expect(most(a[name]!.data, b[name]!.data), name).toBeLessThan(3e-3)
    }
    expect(host.program!.limits).toMatchObject({ B: 4, T: 9 })
  })

  test('a symbol that nothing tells is named, and so is one that the graph does not have', async () => {
    const g = new GraphBuilder('two')
    g.output('y', ops.silu({ x: g.input('x', tensor('f32', ['B', 'T', 4])) }))
    await using graph = await compileGraph(g.build(), { device: 'reference' })
    await expect(graph.run({ x: noise(1, 24) })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[unbound-symbol]: \`B\` and \`T\` of input x have no value
        input  x: f32[B, T, 4]
        got    24 values
        help: the length of an input tells one symbol: give the others, run(inputs, { B: … })]
    `)
    await expect(graph.run({ x: noise(1, 24) }, { N: 2 })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[unknown-symbol]: graph @two has no symbol \`N\`
        in      the bindings of run
        symbols B, T
        help: symbols are the dims of the types of the graph that are no numbers]
    `)
    await expect(graph.run({ x: noise(1, 24) }, { B: 1.5 })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-symbol]: B must be a whole number from 0, is 1.5
        in     the bindings of run]
    `)
    expect((await graph.run({ x: noise(1, 24) }, { B: 2 })).y!.shape).toEqual([2, 3, 4])
    await expect(compileGraph(g.build(), { limits: { C: 4 } })).rejects.toThrow('no symbol `C`')
  })

  test('dims that are no symbols are refused where they are written', () => {
    const g = new GraphBuilder('odd')
    for (const dim of ['b', '', '1B', 'B B']) expect(() => g.input('x', tensor('f32', [dim]))).toThrow('capital letter')
  })
})

describe('several runs', () => {
  test('asked for at once give the results of each, every output', async () => {
    const g = new GraphBuilder('pair')
    const x = g.input('x', tensor('f32', ['B']))
    g.output('twice', ops.scale({ x }, { by: 2 }))
    g.output('thrice', ops.scale({ x }, { by: 3 }))
    await using graph = await compileGraph(g.build(), { device: 'host', limits: { B: 4 } })
    const all = await Promise.all([1, 2, 3, 4].map((v) => graph.run({ x: [v] })))
    expect(all.map(({ twice, thrice }) => [twice!.data[0], thrice!.data[0]])).toEqual([
      [2, 3],
      [4, 6],
      [6, 9],
      [8, 12],
    ])
  })

  test('after disposal they are refused; one that is under way ends first', async () => {
    const graph = await compileGraph(mlp(), { device: 'host', weights, limits: { T: 4 } })
    const underway = graph.run({ x: noise(1, 24) })
    await Promise.resolve()
    graph.dispose()
    graph.dispose()
    expect((await underway).y!.shape).toEqual([1, 7])
    await expect(graph.run({ x: noise(1, 24) })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[disposed]: graph @mlp was disposed of
        help: run it before that]
    `)
  })
})

describe('what is refused', () => {
  const compile = () => compileGraph(mlp(), { device: 'reference', weights, limits: { T: 4 } })
  const run = async (inputs: Parameters<CompiledGraph['run']>[0], bindings = {}) => {
    await using graph = await compile()
    return graph.run(inputs, bindings)
  }

  test('a weight that is missing, or has the wrong size', async () => {
    await expect(compileGraph(mlp(), { device: 'reference' })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[missing-weight]: weight w1 has no values
        weight @w1: f32[40, 24]
        help: give it in the option \`weights\`]
    `)
    await expect(
      compileGraph(mlp(), { device: 'reference', weights: { ...weights, b1: [1, 2] } }),
    ).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-weight]: weight b1 has the wrong size
        weight   @b1: f32[40]
        expected 40 values
        got      2 values]
    `)
  })

  const without = (option: object) => compileGraph(mlp(), { device: 'reference', weights, ...option })

  test('weights that the graph does not have, with the name that was meant', async () => {
    await expect(without({ weights: { ...weights, w3: [1] } })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[unknown-weight]: graph @mlp has no weight \`w3\`
        weights w1, b1, w2
        help: did you mean \`w1\`? names stand in the option \`weights\` without @]
    `)
    await expect(without({ weights: { ...weights, '@w1': [1] } })).rejects.toThrow('did you mean `w1`?')
  })

  test('values that are none: NaN, as numbers and as bytes; strings; numbers for blocks', async () => {
    const spoilt = weights.w1.slice()
    spoilt[7] = Number.NaN
    await expect(without({ weights: { ...weights, w1: spoilt } })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-weight]: weight w1 holds NaN as value 7
        weight @w1: f32[40, 24]
        help: mend the values: a kernel would carry this into every result that reads them]
    `)
    const bytes = new Uint8Array(560)
    new DataView(bytes.buffer).setUint16(2 * 11, 0x7e00, true)
    await expect(without({ weights: { ...weights, w2: { bytes } } })).rejects.toThrow('holds NaN as value 11')
    await expect(without({ weights: { ...weights, b1: 'x'.repeat(40) } })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-weight]: weight b1 is given as something that holds no numbers
        weight   @b1: f32[40]
        expected an array of numbers, a typed array, or { bytes: Uint8Array }
        got      a string]
    `)
    await expect(without({ weights: { ...weights, b1: { bytes: [1, 2] } } })).rejects.toThrow('got      Array')
    const g = new GraphBuilder('q')
    g.output('y', ops.matmul({ x: g.input('x', tensor('f32', ['T', 32])), w: g.weight('w', 'q8_0', [1, 32]) }))
    await expect(compileGraph(g.build(), { weights: { w: noise(1, 32) } })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-weight]: weight w is block-quantised and given as numbers
        weight @w: q8_0[1, 32]
        help: give its blocks as { bytes }: 34 bytes for 32 values]
    `)
  })

  test('values that the dtype cannot hold', async () => {
    const w2 = weights.w2.slice() // f16
    w2[3] = 65519
    await using graph = await without({ weights: { ...weights, w2 } })
    expect(graph.graph.weights).toContain('@w2')
    w2[3] = -65520
    await expect(without({ weights: { ...weights, w2 } })).rejects.toThrow('holds -65520 as value 3, which f16 cannot')
    const b1 = Array.from(weights.b1)
    b1[0] = 1e39
    await expect(without({ weights: { ...weights, b1 } })).rejects.toThrow('holds 1e+39 as value 0, which f32 cannot')
  })

  test('infinities are values', async () => {
    const b1 = weights.b1.slice().fill(Number.NEGATIVE_INFINITY)
    await using graph = await without({ weights: { ...weights, b1 } })
    expect(graph.graph.weights).toContain('@b1')
  })

  test('options that there are not, and what is no graph', async () => {
    await expect(without({ optlevel: 2 })).rejects.toThrow('optlevel')
    await expect(without({ optLevel: 7 })).rejects.toMatchObject({ code: 'bad-option' })
    await expect(without({ onPass: 'no' })).rejects.toMatchObject({ code: 'bad-option' })
    await expect(without({ limits: { T: -1 } })).rejects.toMatchObject({ code: 'bad-symbol' })
    await expect(compileGraph(new GraphBuilder() as never)).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[bad-argument]: compileGraph takes a graph, got a builder of one
        help: give builder.build()]
    `)
    await expect(compileGraph('graph' as never)).rejects.toMatchObject({ code: 'bad-argument' })
  })

  test('inputs of another kind: strings, fractions among whole numbers', async () => {
    await expect(run({ x: 'text' as never })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-input]: input x holds no numbers
        expected x: f32[T, 24], an array of numbers or a typed array
        got      a string]
    `)
    const g = new GraphBuilder('rows')
    const x = g.input('x', tensor('f32', [4, 2]))
    g.output('y', ops.gatherRows({ x, rows: g.input('rows', tensor('i32', ['R'])) }))
    await using graph = await compileGraph(g.build(), { device: 'reference' })
    await expect(graph.run({ x: noise(1, 8), rows: [0, 1.5] })).rejects.toThrow(
      'holds 1.5 as value 1, which i32 cannot',
    )
    await expect(graph.run({ x: noise(1, 8), rows: [4] })).rejects.toMatchObject({ code: 'op-index' })
  })

  test('inputs that are missing, unknown or of the wrong length', async () => {
    await expect(run({})).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-input]: input x is missing
        expected x: f32[T, 24]
        got      nothing]
    `)
    await expect(run({ x: [1, 2, 3] })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-input]: input x has the wrong number of values
        expected x: f32[T, 24], a multiple of 24 values
        got      3 values]
    `)
    await expect(run({ x: noise(1, 24), z: [1] })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[graph-input]: the graph has no input z
        inputs x]
    `)
  })

  test('an index that is no row', async () => {
    const g = new GraphBuilder('rows')
    g.output('y', ops.embed({ ids: g.input('ids', tensor('i32', ['T'])), table: g.weight('w', 'f32', [4, 2]) }))
    for (const device of ['host', 'reference']) {
      await using graph = await compileGraph(g.build(), { device, weights: { w: noise(1, 8) } })
      for (const id of [4, -1, 1e9])
        await expect(graph.run({ ids: [0, id] })).rejects.toMatchObject({
          code: 'op-index',
          summary: `input ids asks for row ${id} of 4`,
        })
    }
  })

  test('more than the graph was compiled for', async () => {
    await expect(run({ x: noise(1, 24 * 5) })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[beyond-limit]: T = 5 is more than this graph was compiled for
        limit  4
        help: compile with limits: { T: 5 }]
    `)
  })
})
