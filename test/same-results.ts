import { expect } from 'vitest'
import { differenceOf } from '../ir/graph-data.ts'

/** Every output of the same shape, and every value the same but for rounding in f64. */
export function expectSameResults(...runs: Parameters<typeof differenceOf>): void {
  const difference = differenceOf(...runs)
  if (difference) expect.fail(difference)
}
