import { expect, test } from 'vitest'
import { fuseEmbedAppend } from '../../passes/fuse-embed-append.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

const text = ({ appended = '%ids', before = '', also = '' } = {}) => `
  graph @g(%ids: i32[T], %other: i32[T], %history: state i32[P, 1, 4, 1], %at: i32[T], %seq: i32[T], %pages: i32[R, M],
      %logits: f32[R, 9], %last: i32[R], %penalty: f32[R], %window: i32[R]) {
    @table: f16[9, 4]
    %0: f16[T, 4] = embed(%ids, @table) {dtype = "f16"}  // token_embd
    %1: f16[T, 4] = silu(%0)${before}
    %2: i32[T, 1, 1] = reshape(${appended}) {shape = ["T", 1, 1]}
    %3: state i32[P, 1, 4, 1] = kv_append(%history, %2, %at, %seq, %pages)
    return y = %1, history = %3${also}
  }`

test('notes ids down where they are looked up', () =>
  expect(afterPass(fuseEmbedAppend, text())).toMatchInlineSnapshot(`
    "graph @g(%ids: i32[T], %other: i32[T], %history: state i32[P, 1, 4, 1], %at: i32[T], %seq: i32[T], %pages: i32[R, M], %logits: f32[R, 9], %last: i32[R], %penalty: f32[R], %window: i32[R]) {
      @table: f16[9, 4]
      %0: f16[T, 4], %3: state i32[P, 1, 4, 1] = embed_append(%ids, @table, %history, %at, %seq, %pages) {dtype = "f16"}  // token_embd
      %1: f16[T, 4] = silu(%0)
      return y = %1, history = %3
    }"
  `))

test('leaves other ids to a kernel of their own', () =>
  expect(leavesAlone(fuseEmbedAppend, text({ appended: '%other' }))).toBe(true))

test('leaves a history that something else reads as it was', () => {
  const before = '%4: f32[R, 9] = repeat_penalty(%logits, %history, %last, %pages, %penalty, %window)'
  expect(leavesAlone(fuseEmbedAppend, text({ before: `\n    ${before}`, also: ', past = %4' }))).toBe(true)
})
