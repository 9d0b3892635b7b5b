import { expect, test } from 'vitest'
import { fusePenalisedPublish } from '../../passes/fuse-penalised-publish.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

const text = ({ at = '%at', also = '' } = {}) => `
  graph @g(%logits: f32[R, 9], %history: state i32[P, 1, 4, 1], %at: i32[R], %other: i32[R], %pages: i32[R, M],
      %penalty: f32[R], %window: i32[R], %from: i32[R], %frequency: f32[R], %presence: f32[R], %ids: i32[R, 3],
      %values: f32[R, 3], %t: f32[R], %k: i32[R], %p: f32[R], %m: f32[R], %seed: u32[R], %ring: state i32[4, R, 2],
      %step: i32[1]) {
    %0: i32[R] = penalised_sample(%logits, %history, %at, %pages, %penalty, %window, %from, %frequency, %presence, %ids,
      %values, %t, %k, %p, %m, %seed)  // token
    %1: state i32[4, R, 2], %2: i32[R], %3: i32[1] = publish(%ring, %0, ${at}, %step)
    return token = %0, ring = %1, next_positions = %2, next_step = %3${also}
  }`

test('publishes a token where it is drawn', () =>
  expect(afterPass(fusePenalisedPublish, text())).toContain(
    '%0: i32[R], %1: state i32[4, R, 2], %2: i32[R], %3: i32[1] = penalised_publish(%logits, %history, %at, %pages, ' +
      '%penalty, %window, %from, %frequency, %presence, %ids, %values, %t, %k, %p, %m, %seed, %ring, %step)  // token\n',
  ))

test('keeps a publication at other positions', () =>
  expect(leavesAlone(fusePenalisedPublish, text({ at: '%other' }))).toBe(true))
