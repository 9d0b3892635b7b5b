// From graph to program: which kernels are chosen, what is said when there is none, and what is printed.

import { describe, expect, test } from 'vitest'
import { compileProgram } from '../../codegen/compile.ts'
import { ceilDiv, evaluate } from '../../codegen/extent.ts'
import { defineKernel } from '../../codegen/kernel.ts'
import { kernelSpecs } from '../../codegen/kernels/index.ts'
import { type Program, printProgram } from '../../codegen/program.ts'
import { copyBelowViews, expandUnserved } from '../../codegen/select.ts'
import { findTarget } from '../../codegen/targets.ts'
import type { Diagnostic } from '../../ir/diagnostic.ts'
import { type Graph, nodesOf } from '../../ir/graph.ts'
import { graphData, runExactly } from '../../ir/graph-data.ts'
import { allOps } from '../../ir/op.ts'
import { parseGraph } from '../../ir/parse.ts'
import { printGraph } from '../../ir/print.ts'
import { specialize } from '../../ir/specialize.ts'
import type { Target } from '../../ir/target.ts'
import { verify } from '../../ir/verify.ts'
import { optLevels } from '../../passes/pass.ts'
import { optimise } from '../../passes/pipeline.ts'
import fc from '../fast-check.ts'
import { randomGraph } from '../random-graph.ts'
import { expectSameResults } from '../same-results.ts'
import { tinyStep } from '../tiny-step.ts'

const limits = { T: 8, R: 2, L: 64, P: 16, M: 8 }
const target = (name: string): Target => findTarget(name)!
const compile = (graph: Graph, name = 'gfx942', specs = kernelSpecs): Program =>
  compileProgram(graph, { target: target(name), limits, specs })

const mlp = parseGraph(`graph @mlp(%x: f16[T, 64]) {
  @norm: f16[64] @gate: q8_0[128, 64] @up: q8_0[128, 64] @down: f16[64, 128]
  %0: f16[T, 64] = rms_norm(%x, @norm) {eps = 1e-5}  // norm
  %1: f16[T, 128] = matmul(%0, @gate)  // gate
  %2: f16[T, 128] = matmul(%0, @up)  // up
  %3: f16[T, 128] = silu(%1)
  %4: f16[T, 128] = mul(%3, %2)
  %5: f16[T, 64] = matmul(%4, @down)  // down
  %6: f16[T, 64] = add(%x, %5)
  return y = %6 }`)

/** One plain kernel an op, so that the text below moves only when codegen does. */
const plainKernels = allOps()
  .filter((op) => !op.traits.includes('view') && !op.traits.includes('load'))
  .map((op) =>
    defineKernel({
      implements: { definition: op },
      template: `plain/${op.name}.hip`,
      args: [...op.results, ...Object.keys(op.operands), ...Object.keys(op.optional), 'T'],
      scalars: () => ({ T: 'T' }),
      strided: ['x', 'q', 'k', 'v'],
      launch: () => ({ grid: ceilDiv('T', 4), block: 64 }),
      cost: () => ({ bytes: 0, flops: 0 }),
      tolerance: () => 1,
    }),
  )

test('the printed program', () => {
  expect(printProgram(compile(mlp, 'gfx942', plainKernels))).toMatchInlineSnapshot(`
    "program @mlp for gfx942: 7 launches of 5 kernels, arena 6144 bytes, T ≤ 8, R ≤ 2, L ≤ 64, P ≤ 16, M ≤ 8 {
      rms_norm<<<⌈T/4⌉, 64>>>(%0, %x, @norm, T=T)  // norm
      matmul<<<⌈T/4⌉, 64>>>(%1, %0, @gate, , T=T)  // gate
      matmul<<<⌈T/4⌉, 64>>>(%2, %0, @up, , T=T)  // up
      silu<<<⌈T/4⌉, 64>>>(%3, %1, T=T)
      mul<<<⌈T/4⌉, 64>>>(%4, %3, %2, T=T)
      matmul<<<⌈T/4⌉, 64>>>(%5, %4, @down, , T=T)  // down
      add<<<⌈T/4⌉, 64>>>(%6, %x, %5, T=T)
    }"
  `)
  expect(printProgram(compile(optimise(mlp, 3), 'gfx942', plainKernels))).toMatchInlineSnapshot(`
    "program @mlp for gfx942: 2 launches of 2 kernels, arena 2048 bytes, T ≤ 8, R ≤ 2, L ≤ 64, P ≤ 16, M ≤ 8 {
      rms_norm_matmul_swiglu<<<⌈T/4⌉, 64>>>(%4, %x, @norm, %7, T=T)  // ffn_gate_up
      matmul_add<<<⌈T/4⌉, 64>>>(%6, %4, @down, %x, , T=T)  // down
    }"
  `)
})

test('equal graphs give equal programs', () => {
  const step = specialize(tinyStep({ attentionBias: true }), { T: 1, R: 1 })
  for (const name of ['host', 'host-wave64', 'gfx942', 'gfx1100', 'sm_90']) {
    const [a, b] = [compile(optimise(step, 3), name), compile(optimise(parseGraph(printGraph(step)), 3), name)]
    expect(printGraph(a.graph)).toBe(printGraph(b.graph))
    expect({ ...a, graph: undefined }).toEqual({ ...b, graph: undefined })
    expect(a.calls.map(({ source }) => source)).toEqual(b.calls.map(({ source }) => source))
  }
})

describe('every step of a model has kernels', () => {
  const steps: [string, Graph][] = [
    ['step', tinyStep()],
    ['decode', specialize(tinyStep({ slidingWindow: 3 }), { T: 1, R: 1 })],
    [
      'bf16',
      tinyStep({ weightDtype: 'bf16', qkNorm: true, architecture: 'qwen3' }, { activations: 'bf16', kvDtype: 'bf16' }),
    ],
  ]
  test.each(steps.flatMap(([name, graph]) => optLevels.map((level) => [name, level, graph] as const)))(
    '%s at -O%i',
    (_, level, graph) => {
      for (const name of ['host', 'gfx942', 'gfx1100', 'sm_90']) checkProgram(compile(optimise(graph, level), name))
    },
  )
})

test('random graphs have kernels for every node, at every level', () =>
  fc.assert(
    fc.property(randomGraph(), fc.constantFrom(...optLevels), (graph, level) => {
      for (const name of ['host', 'gfx1100']) checkProgram(compile(optimise(graph, level), name))
    }),
    { numRuns: 40, seed: 1 },
  ))

/** Every argument is placed, values that live together lie apart, grids are whole, views below need no kernel. */
function checkProgram(program: Program): void {
  const span = new Map<string, { from: number; to: number }>()
  for (const [at, call] of program.calls.entries()) {
    for (const arg of call.args) {
      if (arg.kind === 'scalar') expect(Number.isInteger(evaluate(arg.value, limits))).toBe(true)
      else if (arg.buffer) {
        expect(program.buffers[arg.buffer], `${call.entry} ${arg.name}`).toBeDefined()
        span.set(arg.buffer, { from: span.get(arg.buffer)?.from ?? at, to: at })
      }
    }
    expect(Number.isInteger(evaluate(call.grid, limits))).toBe(true)
    expect(call.block).toBeLessThanOrEqual(program.target.maxBlock)
  }
  const arena = Object.values(program.buffers).filter(({ kind, id }) => kind === 'arena' && span.has(id))
  for (const [i, a] of arena.entries()) {
    expect(a.offset! + a.bytes).toBeLessThanOrEqual(program.arenaBytes)
    for (const b of arena.slice(i + 1)) {
      const [x, y] = [span.get(a.id)!, span.get(b.id)!]
      if (x.from > y.to || y.from > x.to || !a.bytes || !b.bytes) continue
      expect(a.offset! >= b.offset! + b.bytes || b.offset! >= a.offset! + a.bytes, `${a.id} and ${b.id}`).toBe(true)
    }
  }
  for (const { buffer } of program.outputs) expect(program.buffers[buffer]).toBeDefined()
}

describe('what no kernel takes', () => {
  const without = (...ops: string[]) => kernelSpecs.filter((spec) => !ops.includes(spec.implements))
  const data = (graph: Graph) => graphData(graph, 1)
  test('a fused op is its expansion, other ids stay', () => {
    const graph = optimise(tinyStep(), 3)
    const expanded = verify(
      expandUnserved(graph, without('attention', 'rope_kv_append', 'matmul_swiglu', 'swiglu'), target('gfx942')),
    )
    const ops = new Set(expanded.order.map((id) => expanded.nodes[id]!.op))
    for (const op of ['attention', 'rope_kv_append', 'matmul_swiglu', 'swiglu']) expect(ops).not.toContain(op)
    for (const op of ['scale_mask_softmax', 'rope', 'kv_append', 'silu', 'matmul_add']) expect(ops).toContain(op)
    for (const id of graph.order) {
      const [before, after] = [graph.nodes[id]!, expanded.nodes[id]]
      if (after?.op === before.op && !before.in.x?.startsWith('%')) expect(after.out).toEqual(before.out)
    }
    expectSameResults(runExactly(expanded, data(graph)), runExactly(graph, data(graph)))
  })
  test('a graph that is served stays itself', () => {
    const graph = optimise(specialize(tinyStep(), { T: 1, R: 1 }), 3)
    expect(expandUnserved(graph, kernelSpecs, target('gfx942'))).toBe(graph)
    expect(copyBelowViews(graph)).toBe(graph)
  })
  test('norms leave the matmuls of many tokens, and of the host', () => {
    const ops = (T: number, name: string) =>
      new Set(
        nodesOf(expandUnserved(optimise(specialize(tinyStep(), { T, R: 1 }), 3), kernelSpecs, target(name))).map(
          ({ op }) => op,
        ),
      )
    for (const kept of [ops(1, 'gfx942'), ops(8, 'sm_90'), ops(3, 'host-wave32')])
      expect([kept.has('rms_norm_matmul'), kept.has('rms_norm_matmul_swiglu')]).toEqual([true, true])
    const [prompt, host] = [ops(64, 'gfx942'), ops(1, 'host')]
    expect([prompt.has('rms_norm'), prompt.has('rms_norm_matmul_swiglu')]).toEqual([true, false])
    expect([...host].filter((op) => op.startsWith('rms_norm'))).toEqual(['rms_norm'])
  })
  test('a reshape of what was transposed begins on a copy', () => {
    const graph = parseGraph(`graph @g(%x: f32[T, 2, 4]) {
      %0: f32[2, T, 4] = transpose(%x) {perm = [1, 0, 2]}
      %1: f32[T, 8] = reshape(%0) {shape = ["T", 8]}  // mix
      %2: f32[T, 8] = silu(%1)
      return y = %2 }`)
    const copied = verify(copyBelowViews(graph))
    expect(printGraph(copied)).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 2, 4]) {
        %0: f32[2, T, 4] = transpose(%x) {perm = [1, 0, 2]}
        %3: f32[2, T, 4] = contiguous(%0)  // mix
        %1: f32[T, 8] = reshape(%3) {shape = ["T", 8]}  // mix
        %2: f32[T, 8] = silu(%1)
        return y = %2
      }"
    `)
    expectSameResults(runExactly(copied, data(graph)), runExactly(graph, data(graph)))
    expect(compile(graph).calls.map(({ entry }) => entry)).toHaveLength(2)
  })
  test('one copy serves all kernels that cannot read a view', () => {
    const graph = parseGraph(`graph @g(%x: f32[T, 2, 4]) {
      %0: f32[2, T, 4] = transpose(%x) {perm = [1, 0, 2]}
      %1: f32[2, T, 4] = silu(%0) %2: f32[2, T, 4] = tanh(%0) return a = %1, b = %2 }`)
    expect(compile(graph).calls.filter(({ kernel }) => kernel === 'contiguous')).toHaveLength(1)
  })
  test('an op without kernels is an error that says what was tried', () => {
    const graph = parseGraph('graph @g(%x: f32[T, 8]) { %0: f32[T, 8] = silu(%x)  // blk.3.act\n return y = %0 }')
    const spec = kernelSpecs.find(({ implements: op }) => op === 'silu')!
    const picky = { ...spec, name: 'silu_wide', serves: () => 'columns must be a multiple of 16, are 8' }
    const stuck = { ...spec, name: 'silu_tiled', valid: () => 'P_BLOCK must be a multiple of 64' }
    const text = (specs: typeof kernelSpecs) => {
      try {
        compile(graph, 'gfx942', specs)
      } catch (error) {
        return (error as Diagnostic).message
      }
      return expect.fail('it compiled')
    }
    expect(text([picky, stuck])).toMatchInlineSnapshot(`
      "error[no-kernel]: no kernel can run \`silu\` on these types
        at     %0 (blk.3.act) in @g
        op     silu(f32[T, 8]) -> f32[T, 8]
        target gfx942
        tried  silu_wide: columns must be a multiple of 16, are 8
        tried  silu_tiled: P_BLOCK must be a multiple of 64
        help: choose a dtype that a kernel serves, or add a spec in codegen/kernels"
    `)
    expect(text([])).toMatchInlineSnapshot(`
      "error[no-kernel]: no kernel can run \`silu\` on these types
        at     %0 (blk.3.act) in @g
        op     silu(f32[T, 8]) -> f32[T, 8]
        target gfx942
        tried  nothing: no kernel implements this op
        help: choose a dtype that a kernel serves, or add a spec in codegen/kernels"
    `)
  })
})

describe('outputs', () => {
  const program = (body: string) => compile(parseGraph(`graph @g(%x: f32[T, 8]) { ${body} }`))
  const kinds = ({ outputs, buffers }: Program) => outputs.map(({ buffer }) => buffers[buffer]!.kind)
  test('have memory of their own', () => {
    expect(kinds(program('%0: f32[T, 8] = silu(%x) %1: f32[T, 8] = tanh(%0) return a = %0, b = %1'))).toEqual([
      'output',
      'output',
    ])
  })
  test('may be inputs, and views of the whole', () => {
    const made = program(
      '%0: f32[T, 8] = silu(%x) %1: f32[T, 2, 4] = reshape(%0) {shape = ["T", 2, 4]} return a = %x, b = %1',
    )
    expect(kinds(made)).toEqual(['input', 'output'])
    expect(made.calls).toHaveLength(1)
  })
  test('that are views of a part are copied', () => {
    const made = program('%0: f32[T, 8] = silu(%x) %1: f32[T, 4] = slice(%0) {from = 0, to = 4} return a = %1, b = %0')
    expect(kinds(made)).toEqual(['output', 'output'])
    expect(made.calls.map(({ kernel }) => kernel)).toContain('contiguous')
  })
})

test('merged weights are their parts, one behind the other', () => {
  const { buffers } = compile(optimise(mlp, 3))
  const merged = Object.values(buffers).find(({ parts }) => parts && parts.length > 1)!
  expect(merged.parts!.map(({ weight, offset, bytes }) => [weight, offset, bytes])).toEqual([
    ['gate', 0, 8704],
    ['up', 8704, 8704],
  ])
  expect(buffers['@gate']).toBeUndefined()
})
