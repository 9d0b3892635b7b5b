import { expect, test } from 'vitest'
import { fusePenalisedSample } from '../../passes/fuse-penalised-sample.ts'
import { afterPass, leavesAlone } from './after-pass.ts'

const head = `graph @g(%logits: f32[R, 9], %history: state i32[P, 1, 4, 1], %at: i32[R], %other: i32[R], %pages: i32[R, M],
    %penalty: f32[R], %window: i32[R], %from: i32[R], %frequency: f32[R], %presence: f32[R], %ids: i32[R, 3],
    %values: f32[R, 3], %t: f32[R], %k: i32[R], %p: f32[R], %m: f32[R], %seed: u32[R])`
const text = ({ at = '%at', also = '' } = {}) => `${head} {
    %0: f32[R, 9] = repeat_penalty(%logits, %history, ${at}, %pages, %penalty, %window)
    %1: f32[R, 9] = frequency_penalty(%0, %history, %at, %pages, %from, %frequency, %presence)
    %2: f32[R, 9] = logit_bias(%1, %ids, %values)
    %3: i32[R] = sample(%2, %t, %k, %p, %m, %seed, %at)  // token
    return token = %3${also}
  }`

test('draws from logits that are changed while they are read', () =>
  expect(afterPass(fusePenalisedSample, text())).toContain(
    '%3: i32[R] = penalised_sample(%logits, %history, %at, %pages, %penalty, %window, %from, %frequency, %presence, %ids, ' +
      '%values, %t, %k, %p, %m, %seed)  // token\n  return token = %3\n',
  ))

test('keeps changed logits that something else reads', () =>
  expect(leavesAlone(fusePenalisedSample, text({ also: ', y = %1' }))).toBe(true))

test('keeps penalties that look from elsewhere', () =>
  expect(leavesAlone(fusePenalisedSample, text({ at: '%other' }))).toBe(true))
