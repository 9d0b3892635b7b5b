// Graphs of one's own: typed arrays in and out, the same on the reference executor and the host.
import { describe, expect, test } from 'vitest'
import { type CompiledGraph, compileGraph, GraphBuilder, ops, parseGraph, tensor } from '../../../src/index.ts'
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
        expected 160 bytes
        got      8 bytes]
    `)
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

  test('more than the graph was compiled for', async () => {
    await expect(run({ x: noise(1, 24 * 5) })).rejects.toThrowErrorMatchingInlineSnapshot(`
      [Diagnostic: error[beyond-limit]: T = 5 is more than this graph was compiled for
        limit  4
        help: compile with limits: { T: 5 }]
    `)
  })
})
