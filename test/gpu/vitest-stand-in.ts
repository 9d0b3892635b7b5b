// The few words of vitest that the kernels' cases and their harness use, for runs outside of vitest. Declarations of tests
// do nothing here: the suite takes the case tables and runs them itself.
import assert from 'node:assert/strict'

interface Matchers {
  toBe(wanted: unknown): void
  toEqual(wanted: unknown): void
}

const matchers = (value: unknown, message?: string): Matchers => ({
  toBe: (wanted) => assert.ok(Object.is(value, wanted), message ?? `${String(value)} is not ${String(wanted)}`),
  toEqual: (wanted) => assert.deepEqual(value, wanted, message),
})

export const expect = Object.assign(matchers, {
  fail(message?: string): never {
    assert.fail(message)
  },
})

const nothing = (): void => {}
export const test = Object.assign(nothing, { each: () => nothing, skip: nothing })
export const describe = Object.assign(nothing, { each: () => nothing, skip: nothing })
export const it = test
export const beforeAll = nothing
export const afterAll = nothing
export const beforeEach = nothing
export const afterEach = nothing
