// The passes that look at a whole half of a layer: projections, caches, attention, gated feed-forward.
import { describe, expect, test } from 'vitest'
import { fuseAttention } from '../../passes/fuse-attention.ts'
import { fuseGateSwiglu } from '../../passes/fuse-gate-swiglu.ts'
import { fuseRmsNormMatmul } from '../../passes/fuse-rms-norm-matmul.ts'
import { fuseRopeKvAppend } from '../../passes/fuse-rope-kv-append.ts'
import { mergeQkv } from '../../passes/merge-qkv.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

const where = '%positions: i32[T], %seq: i32[T], %page_table: i32[R, M]'
const rope = '{theta = 10000, dims = 4, style = "half-split"}'

describe('fuse-gate-swiglu', () => {
  const graph = (body: string, weights = '@gate: q8_0[64, 32] @up: q8_0[64, 32]') =>
    `graph @mlp(%x: f32[T, 32], %z: f32[T, 32]) { ${weights} ${body} }`
  const [gate, up] = ['%0: f32[T, 64] = matmul(%x, @gate)  // blk.0.ffn_gate\n', '%1: f32[T, 64] = matmul(%x, @up)\n']
  const end = '%2: f32[T, 64] = swiglu(%0, %1) return y = %2'
  test('makes one matmul of gate and up', () =>
    expect(afterPass(fuseGateSwiglu, graph(gate + up + end))).toMatchInlineSnapshot(`
      "graph @mlp(%x: f32[T, 32], %z: f32[T, 32]) {
        @gate: q8_0[64, 32]
        @up: q8_0[64, 32]
        %3: q8_0[128, 32] = concat_rows(@gate, @up)  // blk.0.ffn_gate_up
        %2: f32[T, 64] = matmul_swiglu(%x, %3)  // blk.0.ffn_gate_up
        return y = %2
      }"
    `))
  const stays = (body: string, weights?: string) => expect(leavesAlone(fuseGateSwiglu, graph(body, weights))).toBe(true)
  test('keeps products of different activations', () => stays(`${gate}%1: f32[T, 64] = matmul(%z, @up) ${end}`))
  test('keeps a product that something else reads', () => stays(`${gate + up + end}, z = %1`))
  test('keeps a weight that something else reads', () =>
    stays(`${gate + up}%3: f32[T, 64] = matmul(%z, @up) ${end}, z = %3`))
  test('keeps weights of two formats', () => stays(gate + up + end, '@gate: q8_0[64, 32] @up: q4_0[64, 32]'))
  test('keeps a bias', () =>
    stays(
      `${gate}%1: f32[T, 64] = matmul(%x, @up, bias = @b) ${end}`,
      '@gate: f32[64, 32] @up: f32[64, 32] @b: f32[64]',
    ))
  test('keeps a weight that is an input', () =>
    expect(
      leavesAlone(
        fuseGateSwiglu,
        `graph @mlp(%x: f32[T, 32], %w: f32[64, 32]) { @up: f32[64, 32]
          %0: f32[T, 64] = matmul(%x, %w) %1: f32[T, 64] = matmul(%x, @up) ${end} }`,
      ),
    ).toBe(true))
  test('keeps one product taken for both', () => stays(`${gate}%2: f32[T, 64] = swiglu(%0, %0) return y = %2`))
})

describe('fuse-rms-norm-matmul', () => {
  const graph = (body: string) =>
    `graph @g(%x: f32[T, 32]) { @norm: f32[32] @w: q8_0[64, 32] @b: f32[64]
      %0: f32[T, 32] = rms_norm(%x, @norm) {eps = 0.00001}  // norm
      ${body} }`
  test('norms x in the matmul', () =>
    expect(
      afterPass(
        fuseRmsNormMatmul,
        graph('%1: f16[T, 64] = matmul(%0, @w, bias = @b) {dtype = "f16"} // out\n return y = %1'),
      ),
    ).toMatchInlineSnapshot(`
        "graph @g(%x: f32[T, 32]) {
          @norm: f32[32]
          @w: q8_0[64, 32]
          @b: f32[64]
          %1: f16[T, 64] = rms_norm_matmul(%x, @norm, @w, bias = @b) {eps = 1e-5, dtype = "f16"}  // out
          return y = %1
        }"
      `))
  test('norms x in the matmul of a gate', () =>
    expect(
      afterPass(
        fuseRmsNormMatmul,
        graph('%1: f32[T, 32] = matmul_swiglu(%0, @w)  // blk.0.ffn_gate_up\n return y = %1'),
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 32]) {
        @norm: f32[32]
        @w: q8_0[64, 32]
        %1: f32[T, 32] = rms_norm_matmul_swiglu(%x, @norm, @w) {eps = 1e-5}  // blk.0.ffn_gate_up
        return y = %1
      }"
    `))
  const stays = (body: string) => expect(leavesAlone(fuseRmsNormMatmul, graph(body))).toBe(true)
  test('keeps a norm that two matmuls read', () =>
    stays('%1: f32[T, 64] = matmul(%0, @w) %2: f32[T, 64] = matmul(%0, @w, bias = @b) return y = %1, z = %2'))
  test('keeps a norm that is a result', () => stays('%1: f32[T, 64] = matmul(%0, @w) return y = %1, z = %0'))
  test('keeps a norm before an epilogue that no kernel has with it', () =>
    stays('%1: f32[T, 64] = matmul(%x, @w) %2: f32[T, 64] = matmul_add(%0, @w, %1) return y = %2'))
})

describe('merge-qkv', () => {
  const project = (bias = '') =>
    ['q', 'k', 'v']
      .map((name, i) => {
        const [n, out] = [2 * i, name === 'q' ? 8 : 4]
        const b = bias && `, bias = @b${name}`
        return `%${n}: f32[T, ${out}] = matmul(%x, @${name}${b})  // blk.0.attn_${name}
          %${n + 1}: f32[T, ${out / 4}, 4] = reshape(%${n}) {shape = ["T", ${out / 4}, 4]}`
      })
      .join('\n')
  const weights = '@q: f16[8, 6] @k: f16[4, 6] @v: f16[4, 6]'
  const graph = (body: string, more = '') =>
    `graph @g(%x: f32[T, 6], %z: f32[T, 6]) { ${weights} ${more} ${body} return q = %1, k = %3, v = %5 }`
  test('makes one matmul of the three projections', () =>
    expect(afterPass(mergeQkv, graph(project()))).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 6], %z: f32[T, 6]) {
        @q: f16[8, 6]
        @k: f16[4, 6]
        @v: f16[4, 6]
        %6: f16[16, 6] = concat_rows(@q, @k, c = @v)  // blk.0.attn_qkv
        %7: f32[T, 16] = matmul(%x, %6)  // blk.0.attn_qkv
        %0: f32[T, 8] = slice(%7) {from = 0, to = 8}  // blk.0.attn_q
        %2: f32[T, 4] = slice(%7) {from = 8, to = 12}  // blk.0.attn_k
        %4: f32[T, 4] = slice(%7) {from = 12, to = 16}  // blk.0.attn_v
        %1: f32[T, 2, 4] = reshape(%0) {shape = ["T", 2, 4]}
        %3: f32[T, 1, 4] = reshape(%2) {shape = ["T", 1, 4]}
        %5: f32[T, 1, 4] = reshape(%4) {shape = ["T", 1, 4]}
        return q = %1, k = %3, v = %5
      }"
    `))
  test('merges biases as it merges weights', () =>
    expect(afterPass(mergeQkv, graph(project('bias'), '@bq: f32[8] @bk: f32[4] @bv: f32[4]'))).toMatchInlineSnapshot(`
      "graph @g(%x: f32[T, 6], %z: f32[T, 6]) {
        @q: f16[8, 6]
        @k: f16[4, 6]
        @v: f16[4, 6]
        @bq: f32[8]
        @bk: f32[4]
        @bv: f32[4]
        %6: f16[16, 6] = concat_rows(@q, @k, c = @v)  // blk.0.attn_qkv
        %7: f32[16] = concat_rows(@bq, @bk, c = @bv)  // blk.0.attn_qkv
        %8: f32[T, 16] = matmul(%x, %6, bias = %7)  // blk.0.attn_qkv
        %0: f32[T, 8] = slice(%8) {from = 0, to = 8}  // blk.0.attn_q
        %2: f32[T, 4] = slice(%8) {from = 8, to = 12}  // blk.0.attn_k
        %4: f32[T, 4] = slice(%8) {from = 12, to = 16}  // blk.0.attn_v
        %1: f32[T, 2, 4] = reshape(%0) {shape = ["T", 2, 4]}
        %3: f32[T, 1, 4] = reshape(%2) {shape = ["T", 1, 4]}
        %5: f32[T, 1, 4] = reshape(%4) {shape = ["T", 1, 4]}
        return q = %1, k = %3, v = %5
      }"
    `))
  test('leaves other matmuls of the same activations alone', () =>
    expect(
      afterPass(mergeQkv, graph(`${project()} %9: f32[T, 3] = matmul(%x, @other)`, '@other: f16[3, 6]')),
    ).toContain('%9: f32[T, 3] = matmul(%x, @other)'))
  const stays = (body: string, more?: string) => expect(leavesAlone(mergeQkv, graph(body, more))).toBe(true)
  test('keeps projections when one has no bias', () =>
    stays(project('bias').replace(', bias = @bk', ''), '@bq: f32[8] @bv: f32[4]'))
  test('keeps projections of different activations', () => stays(project().replace('(%x, @v)', '(%z, @v)')))
  test('keeps a weight that something else reads', () => stays(`${project()} %9: f32[T, 4] = matmul(%z, @v)`))
  test('keeps results that do not become heads', () =>
    stays(project().replace('%5: f32[T, 1, 4] = reshape(%4) {shape = ["T", 1, 4]}', '%5: f32[T, 4] = silu(%4)')))
})

describe('fuse-rope-kv-append', () => {
  const inputs = `%q: f16[T, 4, 4], %k: f16[T, 2, 4], %v: f16[T, 2, 4],
    %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], ${where}`
  const append = (cache: string, x: string, positions = '%positions') =>
    `state f16[P, 2, 4, 4] = kv_append(${cache}, ${x}, ${positions}, %seq, %page_table)`
  const turn = (x: string, heads: number, attrs = rope) => `f16[T, ${heads}, 4] = rope(${x}, %positions) ${attrs}`
  const standard = [
    `%0: ${turn('%q', 4)}`,
    `%1: ${turn('%k', 2)}`,
    `%2: ${append('%kc', '%1')}`,
    `%3: ${append('%vc', '%v')}`,
  ]
  const end = 'return q = %0, k = %2, v = %3'
  const graph = (body: readonly string[], returns = end) =>
    `graph @g(${inputs}, %f: f32[2], %other: i32[T]) { ${body.join('\n')} ${returns} }`
  test('makes one op of both rotations and both appends', () =>
    expect(afterPass(fuseRopeKvAppend, graph(standard))).toMatchInlineSnapshot(`
      "graph @g(%q: f16[T, 4, 4], %k: f16[T, 2, 4], %v: f16[T, 2, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], %positions: i32[T], %seq: i32[T], %page_table: i32[R, M], %f: f32[2], %other: i32[T]) {
        %0: f16[T, 4, 4], %2: state f16[P, 2, 4, 4], %3: state f16[P, 2, 4, 4] = rope_kv_append(%q, %k, %v, %kc, %vc, %positions, %seq, %page_table) {theta = 1e4, dims = 4, style = "half-split"}
        return q = %0, k = %2, v = %3
      }"
    `))
  test('takes frequency divisors', () =>
    expect(
      afterPass(
        fuseRopeKvAppend,
        graph(standard.map((line) => line.replace('%positions) {', '%positions, factors = %f) {'))),
      ),
    ).toContain('rope_kv_append(%q, %k, %v, %kc, %vc, %positions, %seq, %page_table, factors = %f)'))
  test('takes parts in any order, and values that are computed late', () =>
    expect(
      afterPass(
        fuseRopeKvAppend,
        graph([
          `%1: ${turn('%k', 2)}`,
          `%2: ${append('%kc', '%1')}`,
          `%0: ${turn('%q', 4)}`,
          '%late: f16[T, 2, 4] = silu(%v)',
          `%3: ${append('%vc', '%late')}`,
        ]),
      ),
    ).toMatchInlineSnapshot(`
      "graph @g(%q: f16[T, 4, 4], %k: f16[T, 2, 4], %v: f16[T, 2, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], %positions: i32[T], %seq: i32[T], %page_table: i32[R, M], %f: f32[2], %other: i32[T]) {
        %late: f16[T, 2, 4] = silu(%v)
        %0: f16[T, 4, 4], %2: state f16[P, 2, 4, 4], %3: state f16[P, 2, 4, 4] = rope_kv_append(%q, %k, %late, %kc, %vc, %positions, %seq, %page_table) {theta = 1e4, dims = 4, style = "half-split"}
        return q = %0, k = %2, v = %3
      }"
    `))
  test('keeps the layers apart', () => {
    const second = `%second: f16[T, 4, 4] = silu(%0)
      %4: ${turn('%second', 4)}
      %5: ${turn('%k', 2)}
      %6: ${append('%kc2', '%5')}
      %7: ${append('%vc2', '%v')}
      return q = %4, a = %2, b = %3, c = %6, d = %7`
    const text = afterPass(
      fuseRopeKvAppend,
      `graph @g(${inputs}, %kc2: state f16[P, 2, 4, 4], %vc2: state f16[P, 2, 4, 4]) { ${standard.join('\n')} ${second} }`,
    )
    expect(text.match(/= rope_kv_append\(.*?\)/g)).toEqual([
      '= rope_kv_append(%q, %k, %v, %kc, %vc, %positions, %seq, %page_table)',
      '= rope_kv_append(%second, %k, %v, %kc2, %vc2, %positions, %seq, %page_table)',
    ])
  })
  const stays = (body: readonly string[], returns?: string) =>
    expect(leavesAlone(fuseRopeKvAppend, graph(body, returns))).toBe(true)
  const changed = (from: string, to: string) => standard.map((line) => line.replace(from, to))
  test('keeps rotated keys that something else reads', () => stays(standard, `${end}, z = %1`))
  test('keeps rotations by different angles', () => stays([standard[0]!.replace('10000', '500'), ...standard.slice(1)]))
  test('keeps rotations at different positions', () =>
    stays([standard[0]!.replace('%positions', '%other'), ...standard.slice(1)]))
  test('keeps keys that are appended elsewhere than they are turned for', () =>
    stays(changed('(%kc, %1, %positions', '(%kc, %1, %other')))
  test('keeps values that go to other places than the keys', () =>
    stays(changed('(%vc, %v, %positions', '(%vc, %v, %other')))
  test('keeps a cache that is read as it was', () =>
    stays(
      [
        standard[0]!,
        standard[1]!,
        '%old: f16[R, L, 2, 4] = kv_read(%vc, %page_table) {dtype = "f16"}',
        standard[2]!,
        standard[3]!,
      ],
      `${end}, z = %old`,
    ))
  test('keeps values that depend on the rotated queries', () =>
    expect(
      leavesAlone(
        fuseRopeKvAppend,
        `graph @g(${inputs.replace('%q: f16[T, 4, 4]', '%q: f16[T, 2, 4]')}) {
          %0: ${turn('%q', 2)} %1: ${turn('%k', 2)} %2: ${append('%kc', '%1')}
          %late: f16[T, 2, 4] = silu(%0) %3: ${append('%vc', '%late')} return q = %0, k = %2, v = %3 }`,
      ),
    ).toBe(true))
})

describe('fuse-attention', () => {
  const inputs = `%q: f16[T, 4, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], ${where}`
  const read = (id: string, cache: string, table = '%page_table') =>
    `%${id}: f16[R, L, 2, 4] = kv_read(${cache}, ${table}) {dtype = "f16"}`
  const repeat = (id: string, x: string) => `%${id}: f16[R, L, 4, 4] = repeat_kv(${x}) {groups = 2}`
  const standard = [
    read('0', '%kc'),
    repeat('1', '%0'),
    read('2', '%vc'),
    repeat('3', '%2'),
    '%4: f32[T, 4, L] = qk_matmul(%q, %1, %seq)',
    '%5: f32[T, 4, L] = scale_mask_softmax(%4, %positions) {by = 0.5, window = 5}',
    '%6: f16[T, 4, 4] = pv_matmul(%5, %3, %seq) {dtype = "f16"}',
  ]
  const graph = (body: readonly string[], returns = 'return y = %6', more = '') =>
    `graph @g(${inputs}${more}) { ${body.join('\n')} ${returns} }`
  test('makes one op of everything from the caches to the mix of values', () =>
    expect(afterPass(fuseAttention, graph(standard))).toMatchInlineSnapshot(`
      "graph @g(%q: f16[T, 4, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], %positions: i32[T], %seq: i32[T], %page_table: i32[R, M]) {
        %6: f16[T, 4, 4] = attention(%q, %kc, %vc, %positions, %seq, %page_table) {scale = 0.5, window = 5, dtype = "f16"}
        return y = %6
      }"
    `))
  test('takes as many key heads as query heads', () =>
    expect(
      afterPass(
        fuseAttention,
        graph(
          [
            '%h: f16[T, 2, 4] = contiguous(%q2)',
            standard[0]!,
            standard[2]!,
            '%4: f32[T, 2, L] = qk_matmul(%h, %0, %seq)',
            '%5: f32[T, 2, L] = scale_mask_softmax(%4, %positions) {by = 0.5}',
            '%6: f16[T, 2, 4] = pv_matmul(%5, %2, %seq) {dtype = "f16"}',
          ],
          undefined,
          ', %q2: f16[T, 2, 4]',
        ),
      ),
    ).toContain('attention(%h, %kc, %vc, %positions, %seq, %page_table) {scale = 0.5, dtype = "f16"}'))
  const stays = (body: readonly string[], returns?: string, more?: string) =>
    expect(leavesAlone(fuseAttention, graph(body, returns, more))).toBe(true)
  test.each([
    ['scores', '%4'],
    ['probabilities', '%5'],
    ['keys', '%1'],
    ['values', '%2'],
  ])('keeps %s that something else reads', (_, id) => stays(standard, `return y = %6, z = ${id}`))
  test('keeps keys and values of different pages', () =>
    stays(standard.with(2, read('2', '%vc', '%table2')), undefined, ', %table2: i32[R, M]'))
  test('keeps scores and values of different requests', () =>
    stays(standard.with(6, standard[6]!.replace('%seq', '%seq2')), undefined, ', %seq2: i32[T]'))
  test('keeps caches of different pages sizes', () =>
    stays(standard.with(2, read('2', '%vc8')), undefined, ', %vc8: state f16[P, 2, 8, 4]'))
  test('keeps a read of a cache that an op updates before the values are mixed', () =>
    stays(
      standard.toSpliced(5, 0, '%7: state f16[P, 2, 4, 4] = kv_append(%kc, %k, %positions, %seq, %page_table)'),
      'return y = %6, k = %7',
      ', %k: f16[T, 2, 4]',
    ))
})
