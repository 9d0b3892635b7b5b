// The passes that look at a few ops around an activation, one golden each, and the graphs they must leave alone.
import { describe, expect, test } from 'vitest'
import { GraphBuilder } from '../../ir/builder.ts'
import { silu, tanh } from '../../ir/ops/index.ts'
import { tensor } from '../../ir/type.ts'
import { deadCode } from '../../passes/dead-code.ts'
import { foldConstants } from '../../passes/fold-constants.ts'
import { fuseAddRmsNorm } from '../../passes/fuse-add-rms-norm.ts'
import { fuseResidual } from '../../passes/fuse-residual.ts'
import { fuseScaleMaskSoftmax } from '../../passes/fuse-scale-mask-softmax.ts'
import { fuseSwiglu } from '../../passes/fuse-swiglu.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

describe('dead-code', () => {
  test('removes what nothing reads, and its weights', () =>
    expect(
      afterPass(
        deadCode,
        `graph @g(%x: f32[T, 8]) {
          @used: f32[8]
          @lost: f32[4, 8]
          %0: f32[T, 4] = matmul(%x, @lost)
          %1: f32[T, 4] = silu(%0)
          %2: f32[T, 8] = mul(%x, @used)
          return y = %2
        }`,
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 8]) {
        @used: f32[8]
        %2: f32[T, 8] = mul(%x, @used)
        return y = %2
      }"
    `))
  test('removes a weight that no node ever read', () =>
    expect(
      afterPass(deadCode, 'graph @g(%x: f32[T]) { @lost: f32[4] %0: f32[T] = silu(%x) return y = %0 }'),
    ).not.toContain('@lost'))
  test('keeps a node while one of its results is read', () =>
    expect(
      leavesAlone(
        deadCode,
        'graph @g(%x: f32[R, 9]) { %v: f32[R, 2], %i: i32[R, 2] = topk(%x) {k = 2} return y = %i }',
      ),
    ).toBe(true))
  test('sweeps a chain longer than any call stack', () => {
    const graph = new GraphBuilder()
    const x = graph.input('x', tensor('f32', ['T']))
    for (let i = 0, last = x; i < 20_000; i++) last = silu({ x: last })
    graph.output('y', tanh({ x }))
    expect(deadCode.run(graph.build()).order).toHaveLength(1)
  })
})

describe('fold-constants', () => {
  const fold = (body: string, input = '%x: f32[T, 2, 4]') => afterPass(foldConstants, `graph @g(${input}) { ${body} }`)
  test('joins factors, and drops a factor of one', () =>
    expect(
      fold(
        `%0: f32[T, 2, 4] = scale(%x) {by = 3} %1: f32[T, 2, 4] = scale(%0) {by = -0.5}
         %2: f32[T, 2, 4] = scale(%1) {by = 1} return y = %2`,
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 2, 4]) {
        %1: f32[T, 2, 4] = scale(%x) {by = -1.5}
        return y = %1
      }"
    `))
  test('joins views, and drops those that change nothing', () =>
    expect(
      fold(
        `%0: f32[T, 8] = reshape(%x) {shape = ["T", 8]}
         %1: f32[T, 4, 2] = reshape(%0) {shape = ["T", 4, 2]}
         %2: f32[T, 2, 4] = reshape(%0) {shape = ["T", 2, 4]}
         %3: f32[T, 6] = slice(%0) {from = 1, to = 7}
         %4: f32[T, 2] = slice(%3) {from = 2, to = 4}
         %5: f32[2, 4, T] = transpose(%x) {perm = [1, 2, 0]}
         %6: f32[4, T, 2] = transpose(%5) {perm = [1, 2, 0]}
         %7: f32[T, 2, 4] = transpose(%6) {perm = [1, 2, 0]}
         return a = %1, b = %2, c = %4, d = %6, e = %7`,
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 2, 4]) {
        %0: f32[T, 8] = reshape(%x) {shape = ["T", 8]}
        %1: f32[T, 4, 2] = reshape(%x) {shape = ["T", 4, 2]}
        %4: f32[T, 2] = slice(%0) {from = 3, to = 5}
        %6: f32[4, T, 2] = transpose(%x) {perm = [2, 0, 1]}
        return a = %1, b = %x, c = %4, d = %6, e = %x
      }"
    `))
  test('drops a repeat of one group and a copy of the same dtype', () =>
    expect(
      fold(
        '%0: f32[R, L, 2, 4] = repeat_kv(%k) {groups = 1} %1: f32[R, L, 2, 4] = contiguous(%0) return y = %1',
        '%k: f32[R, L, 2, 4]',
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%k: f32[R, L, 2, 4]) {
        return y = %k
      }"
    `))
  const stays = (body: string) => leavesAlone(foldConstants, `graph @g(%x: f32[T, 4, 4]) { ${body} }`)
  test('keeps factors whose product f32 cannot hold', () => {
    expect(
      stays('%0: f32[T, 4, 4] = scale(%x) {by = 1e30} %1: f32[T, 4, 4] = scale(%0) {by = 1e30} return y = %1'),
    ).toBe(true)
    expect(
      stays('%0: f32[T, 4, 4] = scale(%x) {by = 1e-30} %1: f32[T, 4, 4] = scale(%0) {by = 1e-30} return y = %1'),
    ).toBe(true)
  })
  test('keeps a factor that something else reads', () =>
    expect(
      stays('%0: f32[T, 4, 4] = scale(%x) {by = 2} %1: f32[T, 4, 4] = scale(%0) {by = 3} return y = %1, z = %0'),
    ).toBe(true))
  test('keeps a factor of zero: it turns infinity into NaN', () =>
    expect(stays('%0: f32[T, 4, 4] = scale(%x) {by = 0} return y = %0')).toBe(true))
  test('keeps a transposition of equal dims, and a copy in another dtype', () => {
    expect(stays('%0: f32[T, 4, 4] = transpose(%x) {perm = [0, 2, 1]} return y = %0')).toBe(true)
    expect(stays('%0: f16[T, 4, 4] = contiguous(%x) {dtype = "f16"} return y = %0')).toBe(true)
  })
})

describe('fuse-swiglu', () => {
  const mlp = (body: string) => `graph @mlp(%gate: bf16[T, 64], %up: bf16[T, 64], %row: bf16[64]) { ${body} }`
  test('fuses silu(gate) · up', () =>
    expect(
      afterPass(fuseSwiglu, mlp('%s: bf16[T, 64] = silu(%gate) %y: bf16[T, 64] = mul(%s, %up)  // ffn\n return %y')),
    ).toMatchInlineSnapshot(`
      "graph @mlp(%gate: bf16[T, 64], %up: bf16[T, 64], %row: bf16[64]) {
        %y: bf16[T, 64] = swiglu(%gate, %up)  // ffn
        return y = %y
      }"
    `))
  test('fuses up · silu(gate)', () =>
    expect(
      afterPass(fuseSwiglu, mlp('%s: bf16[T, 64] = silu(%gate) %y: bf16[T, 64] = mul(%up, %s) return %y')),
    ).toContain('%y: bf16[T, 64] = swiglu(%gate, %up)'))
  const stays = (body: string) => expect(leavesAlone(fuseSwiglu, mlp(body))).toBe(true)
  test('keeps silu when something else reads it', () =>
    stays('%s: bf16[T, 64] = silu(%gate) %y: bf16[T, 64] = mul(%s, %up) return y = %y, s = %s'))
  test('keeps silu when the product reads it twice', () =>
    stays('%s: bf16[T, 64] = silu(%gate) %y: bf16[T, 64] = mul(%s, %s) return %y'))
  test('keeps a product with a row that is repeated', () =>
    stays('%s: bf16[T, 64] = silu(%gate) %y: bf16[T, 64] = mul(%s, %row) return %y'))
  test('keeps a product of two dtypes', () =>
    stays(
      '%f: f32[T, 64] = contiguous(%gate) {dtype = "f32"} %s: f32[T, 64] = silu(%f) %y: f32[T, 64] = mul(%s, %up) return %y',
    ))
  test('keeps another activation', () =>
    stays('%s: bf16[T, 64] = sigmoid(%gate) %y: bf16[T, 64] = mul(%s, %up) return %y'))
})

describe('fuse-residual', () => {
  const graph = (body: string) =>
    `graph @g(%x: f32[T, 6], %r: f32[T, 4], %h: f16[T, 4]) { @w: f16[4, 6] @b: f32[4] ${body} }`
  test('takes the residual into the matmul, bias and label with it', () =>
    expect(
      afterPass(
        fuseResidual,
        graph(
          '%0: f32[T, 4] = matmul(%x, @w, bias = @b)  // blk.0.attn_output\n %1: f32[T, 4] = add(%r, %0)  // blk.0.attn_residual\n return y = %1',
        ),
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 6], %r: f32[T, 4], %h: f16[T, 4]) {
        @w: f16[4, 6]
        @b: f32[4]
        %1: f32[T, 4] = matmul_add(%x, @w, %r, bias = @b)  // blk.0.attn_output
        return y = %1
      }"
    `))
  test('takes either order', () =>
    expect(
      afterPass(fuseResidual, graph('%0: f32[T, 4] = matmul(%x, @w) %1: f32[T, 4] = add(%0, %r) return y = %1')),
    ).toContain('%1: f32[T, 4] = matmul_add(%x, @w, %r)'))
  test('takes one of two products', () =>
    expect(
      afterPass(
        fuseResidual,
        graph(
          '%0: f32[T, 4] = matmul(%x, @w) %1: f32[T, 4] = matmul(%x, @w) %2: f32[T, 4] = add(%0, %1) return y = %2',
        ),
      ),
    ).toContain('matmul_add(%x, @w, %0)'))
  const stays = (body: string) => expect(leavesAlone(fuseResidual, graph(body))).toBe(true)
  test('keeps a product that something else reads', () =>
    stays('%0: f32[T, 4] = matmul(%x, @w) %1: f32[T, 4] = add(%r, %0) return y = %1, z = %0'))
  test('keeps the sum of a product with itself', () =>
    stays('%0: f32[T, 4] = matmul(%x, @w) %1: f32[T, 4] = add(%0, %0) return y = %1'))
  test('keeps a residual of another dtype', () =>
    stays('%0: f32[T, 4] = matmul(%x, @w) %1: f16[T, 4] = add(%h, %0) return y = %1'))
  test('keeps a product that changes dtype', () =>
    stays('%0: f16[T, 4] = matmul(%x, @w) {dtype = "f16"} %1: f16[T, 4] = add(%h, %0) return y = %1'))
  test('keeps a bias that is added as a row', () =>
    stays('%0: f32[T, 4] = matmul(%x, @w) %1: f32[T, 4] = add(%0, @b) return y = %1'))
})

describe('fuse-add-rms-norm', () => {
  const graph = (body: string) => `graph @g(%a: f32[T, 4], %b: f32[T, 4]) { @w: f16[4] ${body} }`
  test('fuses the sum and its norm; both keep their names, whoever reads the sum meanwhile', () =>
    expect(
      afterPass(
        fuseAddRmsNorm,
        graph(
          `%sum: f32[T, 4] = add(%a, %b)
           %t: f32[T, 4] = tanh(%sum)
           %y: f32[T, 4] = rms_norm(%sum, @w) {eps = 1e-5}  // blk.1.attn_norm
           return y = %y, t = %t, s = %sum`,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%a: f32[T, 4], %b: f32[T, 4]) {
        @w: f16[4]
        %sum: f32[T, 4], %y: f32[T, 4] = add_rms_norm(%a, %b, @w) {eps = 1e-5}  // blk.1.attn_norm
        %t: f32[T, 4] = tanh(%sum)
        return y = %y, t = %t, s = %sum
      }"
    `))
  const stays = (body: string) => expect(leavesAlone(fuseAddRmsNorm, graph(body))).toBe(true)
  test('keeps the norm of a sum with a repeated row', () =>
    stays('%sum: f32[T, 4] = add(%a, @w) %y: f32[T, 4] = rms_norm(%sum, @w) {eps = 1e-5} return y = %y'))
  test('keeps another norm', () =>
    stays('%sum: f32[T, 4] = add(%a, %b) %y: f32[T, 4] = layer_norm(%sum, @w) {eps = 1e-5} return y = %y'))
  test('keeps a norm whose scale depends on the sum', () =>
    expect(
      leavesAlone(
        fuseAddRmsNorm,
        `graph @g(%a: f32[1, 4], %b: f32[1, 4]) {
          %sum: f32[1, 4] = add(%a, %b)
          %w: f32[4] = reshape(%sum) {shape = [4]}
          %y: f32[1, 4] = rms_norm(%sum, %w) {eps = 1e-5}
          return y = %y
        }`,
      ),
    ).toBe(true))
  test('fuses one of two norms of a sum', () => {
    const text = afterPass(
      fuseAddRmsNorm,
      graph(
        `%sum: f32[T, 4] = add(%a, %b) %y: f32[T, 4] = rms_norm(%sum, @w) {eps = 1e-5}
         %z: f32[T, 4] = rms_norm(%sum, @w) {eps = 1e-6} return y = %y, z = %z`,
      ),
    )
    expect(text).toContain('%sum: f32[T, 4], %y: f32[T, 4] = add_rms_norm(%a, %b, @w) {eps = 1e-5}')
    expect(text).toContain('%z: f32[T, 4] = rms_norm(%sum, @w)')
  })
})

describe('fuse-scale-mask-softmax', () => {
  const graph = (body: string) =>
    `graph @g(%x: f32[T, 2, L], %positions: i32[T], %seq: i32[T], %page_table: i32[R, M]) { ${body} }`
  test('fuses scale, mask and softmax', () =>
    expect(
      afterPass(
        fuseScaleMaskSoftmax,
        graph(
          `%0: f32[T, 2, L] = scale(%x) {by = 0.25}
           %1: f32[T, 2, L] = causal_mask(%0, %positions) {window = 3}
           %2: f32[T, 2, L] = softmax(%1)
           return y = %2`,
        ),
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 2, L], %positions: i32[T], %seq: i32[T], %page_table: i32[R, M]) {
        %2: f32[T, 2, L] = scale_mask_softmax(%x, %positions) {by = 0.25, window = 3}
        return y = %2
      }"
    `))
  test('fuses without a scale', () =>
    expect(
      afterPass(
        fuseScaleMaskSoftmax,
        graph('%1: f32[T, 2, L] = causal_mask(%x, %positions) %2: f32[T, 2, L] = softmax(%1) return y = %2'),
      ),
    ).toContain('scale_mask_softmax(%x, %positions) {by = 1}'))
  test('leaves a scale that something else reads', () =>
    expect(
      afterPass(
        fuseScaleMaskSoftmax,
        graph(
          `%0: f32[T, 2, L] = scale(%x) {by = 0.25} %1: f32[T, 2, L] = causal_mask(%0, %positions)
           %2: f32[T, 2, L] = softmax(%1) return y = %2, z = %0`,
        ),
      ),
    ).toContain('scale_mask_softmax(%0, %positions) {by = 1}'))
  const stays = (body: string) => expect(leavesAlone(fuseScaleMaskSoftmax, graph(body))).toBe(true)
  test('keeps a mask that something else reads', () =>
    stays('%1: f32[T, 2, L] = causal_mask(%x, %positions) %2: f32[T, 2, L] = softmax(%1) return y = %2, z = %1'))
  test('keeps a softmax without a mask', () =>
    stays('%1: f32[T, 2, L] = scale(%x) {by = 2} %2: f32[T, 2, L] = softmax(%1) return y = %2'))
})
