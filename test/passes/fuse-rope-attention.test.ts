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
