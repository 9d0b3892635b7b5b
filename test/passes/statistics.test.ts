import { describe, expect, test } from 'vitest'
import { parseGraph } from '../../ir/parse.ts'
import { printChanges } from '../../passes/changes.ts'
import { foldConstants } from '../../passes/fold-constants.ts'
import { fuseSwiglu } from '../../passes/fuse-swiglu.ts'
import { optLevels } from '../../passes/pass.ts'
import { optimise } from '../../passes/pipeline.ts'
import { graphStatistics } from '../../passes/statistics.ts'
import { tinyStep } from '../tiny-step.ts'

const mlp = parseGraph(`graph @mlp(%x: f32[T, 8]) {
  @a: q8_0[32, 32]
  @b: f16[32, 8]
  %0: f32[T, 32] = matmul(%x, @b)
  %1: f32[T, 32] = matmul(%0, @a)
  %2: f32[T, 32] = silu(%1)
  %3: f32[T, 32] = mul(%2, %0)
  %4: f32[T, 4, 8] = reshape(%3) {shape = ["T", 4, 8]}
  return y = %4 }`)

describe('statistics', () => {
  test('count what a step reads and writes', () => {
    const [weights, row] = [32 * 34 + 32 * 8 * 2, 32 * 4]
    expect(graphStatistics(mlp, { T: 3 })).toEqual({
      ops: 5,
      kernels: 4,
      weightBytes: weights,
      bytes: weights + 3 * (8 * 4 + row + 2 * row + 2 * row + 3 * row),
    })
  })
  test('a table is read by the row, a cache as far as it is seen', () => {
    const graph =
      parseGraph(`graph @g(%i: i32[T], %c: state f16[P, 2, 4, 8], %x: f16[T, 2, 8], %s: i32[T], %p: i32[R, M]) {
      @table: f16[1000, 16]
      %0: f32[T, 16] = embed(%i, @table) {dtype = "f32"}
      %1: state f16[P, 2, 4, 8] = kv_append(%c, %x, %i, %s, %p)
      %2: f16[R, L, 2, 8] = kv_read(%1, %p) {dtype = "f16"}
      return a = %0, c = %1, k = %2 }`)
    const embed = 3 * (4 + 16 * 2 + 16 * 4)
    const append = 3 * (2 * 16 * 2 + 4 + 4) + 2 * 5 * 4
    const read = 2 * (2 * 7 * 16 * 2) + 2 * 5 * 4
    expect(graphStatistics(graph, { T: 3, R: 2, L: 7, M: 5, P: 100 }).bytes).toBe(embed + append + read)
  })
  test('every level needs fewer kernels and fewer bytes, and the same weights', () => {
    const graph = tinyStep()
    const all = optLevels.map((level) => graphStatistics(optimise(graph, level), { T: 4, R: 1, L: 64, P: 16, M: 16 }))
    for (const [i, now] of all.slice(1).entries()) {
      expect(now.kernels).toBeLessThanOrEqual(all[i]!.kernels)
      expect(now.bytes).toBeLessThanOrEqual(all[i]!.bytes)
      expect(now.weightBytes).toBe(all[i]!.weightBytes)
    }
    expect(all.map(({ kernels }) => kernels)).toMatchInlineSnapshot(`
      [
        58,
        42,
        22,
        17,
      ]
    `)
  })
})

describe('changes', () => {
  test('show what went and what came, in its place', () =>
    expect(printChanges(mlp, fuseSwiglu.run(mlp))).toMatchInlineSnapshot(`
      "  …
      - %2: f32[T, 32] = silu(%1)
      - %3: f32[T, 32] = mul(%2, %0)
      + %3: f32[T, 32] = swiglu(%1, %0)
        …"
    `))
  test('show weights and outputs', () => {
    const graph = parseGraph('graph @g(%x: f32[T]) { @w: f32[2] %0: f32[T] = scale(%x) {by = 1} return y = %0 }')
    expect(printChanges(graph, foldConstants.run(graph))).toMatchInlineSnapshot(`
      "- %0: f32[T] = scale(%x) {by = 1}
      - @w
      - return y = %0
      + return y = %x"
    `)
  })
  test('are empty where there are none', () => expect(printChanges(mlp, mlp)).toBe(''))
  test('tell of a whole pipeline', () => {
    const graph = tinyStep({ layers: 1 }, { result: 'all-logits' })
    expect(printChanges(graph, optimise(graph, 3))).toMatchInlineSnapshot(`
      "  …
      - %1: f32[T, 16] = rms_norm(%0, @blk.0.attn_norm.weight) {eps = 1e-5}  // blk.0.attn_norm
      - %2: f32[T, 16] = matmul(%1, @blk.0.attn_q.weight)  // blk.0.attn_q
      + %34: f32[32, 16] = concat_rows(@blk.0.attn_q.weight, @blk.0.attn_k.weight, c = @blk.0.attn_v.weight)  // blk.0.attn_qkv
      + %35: f32[T, 32] = rms_norm_matmul(%0, @blk.0.attn_norm.weight, %34) {eps = 1e-5}  // blk.0.attn_qkv
      + %2: f32[T, 16] = slice(%35) {from = 0, to = 16}  // blk.0.attn_q
      + %4: f32[T, 8] = slice(%35) {from = 16, to = 24}  // blk.0.attn_k
      + %6: f32[T, 8] = slice(%35) {from = 24, to = 32}  // blk.0.attn_v
        …
      - %4: f32[T, 8] = matmul(%1, @blk.0.attn_k.weight)  // blk.0.attn_k
        …
      - %6: f32[T, 8] = matmul(%1, @blk.0.attn_v.weight)  // blk.0.attn_v
        …
      - %8: f32[T, 4, 4] = rope(%3, %positions) {theta = 1e4, dims = 4, style = "half-split"}  // blk.0.attn_q_rope
      - %9: f32[T, 2, 4] = rope(%5, %positions) {theta = 1e4, dims = 4, style = "half-split"}  // blk.0.attn_k_rope
      - %10: state f32[P, 2, 4, 4] = kv_append(%k_cache.0, %9, %positions, %seq, %page_table)  // blk.0.k_append
      - %11: state f32[P, 2, 4, 4] = kv_append(%v_cache.0, %7, %positions, %seq, %page_table)  // blk.0.v_append
      - %12: f32[R, L, 2, 4] = kv_read(%10, %page_table) {dtype = "f32"}  // blk.0
      - %13: f32[R, L, 4, 4] = repeat_kv(%12) {groups = 2}  // blk.0
      - %14: f32[T, 4, L] = qk_matmul(%8, %13, %seq)  // blk.0
      - %15: f32[T, 4, L] = scale(%14) {by = 0.5}  // blk.0
      - %16: f32[T, 4, L] = causal_mask(%15, %positions)  // blk.0
      - %17: f32[T, 4, L] = softmax(%16)  // blk.0
      - %18: f32[R, L, 2, 4] = kv_read(%11, %page_table) {dtype = "f32"}  // blk.0
      - %19: f32[R, L, 4, 4] = repeat_kv(%18) {groups = 2}  // blk.0
      - %20: f32[T, 4, 4] = pv_matmul(%17, %19, %seq) {dtype = "f32"}  // blk.0
      + %8: f32[T, 4, 4], %10: state f32[P, 2, 4, 4], %11: state f32[P, 2, 4, 4] = rope_kv_append(%3, %5, %7, %k_cache.0, %v_cache.0, %positions, %seq, %page_table) {theta = 1e4, dims = 4, style = "half-split"}  // blk.0.k_append
      + %20: f32[T, 4, 4] = attention(%8, %10, %11, %positions, %seq, %page_table) {scale = 0.5, dtype = "f32"}  // blk.0
        …
      - %22: f32[T, 16] = matmul(%21, @blk.0.attn_output.weight)  // blk.0.attn_output
      - %23: f32[T, 16] = add(%0, %22)  // blk.0.attn_residual
      - %24: f32[T, 16] = rms_norm(%23, @blk.0.ffn_norm.weight) {eps = 1e-5}  // blk.0.ffn_norm
      - %25: f32[T, 24] = matmul(%24, @blk.0.ffn_gate.weight)  // blk.0.ffn_gate
      - %26: f32[T, 24] = matmul(%24, @blk.0.ffn_up.weight)  // blk.0.ffn_up
      - %27: f32[T, 24] = silu(%25)  // blk.0.ffn_silu
      - %28: f32[T, 24] = mul(%27, %26)  // blk.0.ffn_mul
      - %29: f32[T, 16] = matmul(%28, @blk.0.ffn_down.weight)  // blk.0.ffn_down
      - %30: f32[T, 16] = add(%23, %29)  // blk.0.ffn_residual
      - %31: f32[T, 16] = rms_norm(%30, @output_norm.weight) {eps = 1e-5}  // output_norm
      - %32: f32[T, 20] = matmul(%31, @token_embd.weight) {dtype = "f32"}  // output
      + %23: f32[T, 16] = matmul_add(%21, @blk.0.attn_output.weight, %0)  // blk.0.attn_output
      + %33: f32[48, 16] = concat_rows(@blk.0.ffn_gate.weight, @blk.0.ffn_up.weight)  // blk.0.ffn_gate_up
      + %28: f32[T, 24] = rms_norm_matmul_swiglu(%23, @blk.0.ffn_norm.weight, %33) {eps = 1e-5}  // blk.0.ffn_gate_up
      + %30: f32[T, 16] = matmul_add(%28, @blk.0.ffn_down.weight, %23)  // blk.0.ffn_down
      + %32: f32[T, 20] = rms_norm_matmul(%30, @output_norm.weight, @token_embd.weight) {eps = 1e-5, dtype = "f32"}  // output"
    `)
  })
})
