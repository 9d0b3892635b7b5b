import { expect, test } from 'vitest'
import { fuseRopeAttention } from '../../passes/fuse-rope-attention.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

const inputs = (T: number | string) =>
  `%q: f16[${T}, 4, 4], %k: f16[${T}, 2, 4], %v: f16[${T}, 2, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], ` +
  `%positions: i32[${T}], %seq: i32[${T}], %page_table: i32[R, M], %other: i32[${T}]`
const append = (T: number | string, more = '') =>
  `%0: f16[${T}, 4, 4], %1: state f16[P, 2, 4, 4], %2: state f16[P, 2, 4, 4] = rope_kv_append(%q, %k, %v, %kc, %vc, ` +
  `%positions, %seq, %page_table${more}) {theta = 100, dims = 4, style = "interleaved"}`
const attend = (T: number | string, positions = '%positions', keys = '%1') =>
  `%3: f16[${T}, 4, 4] = attention(%0, ${keys}, %2, ${positions}, %seq, %page_table) {scale = 0.5, window = 3, dtype = "f16"}`
const graph = (T: number | string, lines: readonly string[], returns = 'return y = %3, k = %1, v = %2') =>
  `graph @g(${inputs(T)}) { @factors: f32[2] ${lines.join('\n')} ${returns} }`

test('makes one op of the append and the attention behind it', () =>
  expect(afterPass(fuseRopeAttention, graph(2, [append(2, ', factors = @factors'), attend(2)]))).toMatchInlineSnapshot(`
    "graph @g(%q: f16[2, 4, 4], %k: f16[2, 2, 4], %v: f16[2, 2, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], %positions: i32[2], %seq: i32[2], %page_table: i32[R, M], %other: i32[2]) {
      @factors: f32[2]
      %3: f16[2, 4, 4], %1: state f16[P, 2, 4, 4], %2: state f16[P, 2, 4, 4] = rope_attention(%q, %k, %v, %kc, %vc, %positions, %seq, %page_table, factors = @factors) {theta = 100, dims = 4, style = "interleaved", scale = 0.5, window = 3, dtype = "f16"}
      return y = %3, k = %1, v = %2
    }"
  `))

test('leaves a step of any number of tokens to the kernels of its parts', () =>
  expect(leavesAlone(fuseRopeAttention, graph('T', [append('T'), attend('T')]))).toBe(true))

test('keeps rotated queries that something else reads', () =>
  expect(
    leavesAlone(fuseRopeAttention, graph(2, [append(2), attend(2)], 'return y = %3, k = %1, v = %2, q = %0')),
  ).toBe(true))

test('keeps an attention at other positions, or over other keys', () => {
  expect(leavesAlone(fuseRopeAttention, graph(2, [append(2), attend(2, '%other')]))).toBe(true)
  expect(leavesAlone(fuseRopeAttention, graph(2, [append(2), attend(2, '%positions', '%2')]))).toBe(true)
})

/** The graph with q and k normed by these nodes before they are rotated. */
const normedGraph = (norms: readonly string[], returns?: string) =>
  graph(2, [...norms, append(2).replace('(%q, %k,', '(%a, %b,'), attend(2)], returns).replace(
    '@factors: f32[2]',
    '@wq: f32[4] @wk: f16[4]',
  )
const queryNorm = '%a: f16[2, 4, 4] = rms_norm(%q, @wq) {eps = 0.1}'
const keyNorm = (eps = 0.1) => `%b: f16[2, 2, 4] = rms_norm(%k, @wk) {eps = ${eps}}`

test('takes the norms of heads in', () =>
  expect(afterPass(fuseRopeAttention, normedGraph([keyNorm(), queryNorm]))).toMatchInlineSnapshot(`
    "graph @g(%q: f16[2, 4, 4], %k: f16[2, 2, 4], %v: f16[2, 2, 4], %kc: state f16[P, 2, 4, 4], %vc: state f16[P, 2, 4, 4], %positions: i32[2], %seq: i32[2], %page_table: i32[R, M], %other: i32[2]) {
      @wq: f32[4]
      @wk: f16[4]
      %3: f16[2, 4, 4], %1: state f16[P, 2, 4, 4], %2: state f16[P, 2, 4, 4] = rope_attention(%q, %k, %v, %kc, %vc, %positions, %seq, %page_table, q_norm = @wq, k_norm = @wk) {theta = 100, dims = 4, style = "interleaved", scale = 0.5, window = 3, dtype = "f16", eps = 0.1}
      return y = %3, k = %1, v = %2
    }"
  `))

test('keeps a norm of queries that something else reads, and takes that of the keys in', () => {
  const after = afterPass(
    fuseRopeAttention,
    normedGraph([queryNorm, keyNorm()], 'return y = %3, k = %1, v = %2, q = %a'),
  )
  expect(after).toContain('rope_attention(%a, %k,')
  expect(after).toContain('k_norm = @wk) {')
  expect(after).not.toContain('q_norm')
})

test('keeps a norm of keys with an eps of its own', () => {
  const after = afterPass(fuseRopeAttention, normedGraph([queryNorm, keyNorm(0.2)]))
  expect(after).toContain('rope_attention(%q, %b,')
  expect(after).toMatch(/q_norm = @wq\) .*eps = 0.1/)
  expect(after).not.toContain('k_norm')
})

test('keeps norms of whole tokens, and of other kinds', () => {
  const whole = [
    '%flat: f16[2, 16] = reshape(%q) {shape = [2, 16]}',
    '%n: f16[2, 16] = rms_norm(%flat, @w16) {eps = 0.1}',
    '%a: f16[2, 4, 4] = reshape(%n) {shape = [2, 4, 4]}',
    '%b: f16[2, 2, 4] = layer_norm(%k, @wk) {eps = 0.1}',
  ]
  const after = afterPass(fuseRopeAttention, normedGraph(whole).replace('@wq: f32[4]', '@w16: f32[16]'))
  expect(after).toContain('rope_attention(%a, %b,')
  expect(after).not.toContain('_norm =')
})
