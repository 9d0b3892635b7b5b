// Allocation number k fails, for every k of loading a model and generating with it: one clear error, nothing leaks.
import { expect, test } from 'vitest'
import { Diagnostic } from '../../ir/diagnostic.ts'
import { compile } from '../../src/api/compile.ts'
import { type ComputeDevice, openDevice } from '../../src/api/device.ts'
import { failingAllocation } from '../runtime/platform/failing-calls.ts'

const model = 'models/story-3m'

/** Loads and generates on a device whose allocation k fails; true if it did. */
async function survives(k: number): Promise<boolean> {
  const device = (await openDevice('host', { wrapCalls: failingAllocation(k) })) as ComputeDevice
  try {
    const loaded = await compile(model, { context: 64, device })
    try {
      await loaded.generate('Once upon a time', { maxTokens: 3 }).text()
      await loaded.logits([1, 2, 3], { all: true })
      return true
    } finally {
      await loaded.dispose()
    }
  } catch (error) {
    expect(error, `allocation ${k}`).toBeInstanceOf(Diagnostic)
    const { code, facts } = error as Diagnostic
    expect(code).toBe('out-of-memory')
    expect(
      facts.map(([label]) => label),
      'names the operation',
    ).toContain('at')
    return false
  } finally {
    expect(device.driver.liveAllocations, `after allocation ${k} failed`).toBe(0)
    expect(device.driver.live).toMatchObject({ module: 0, event: 0, stream: 0, graph: 0 })
    device[Symbol.dispose]()
  }
}

test('an allocation that fails leaves one error and no leak, whichever it is', async () => {
  let k = 0
  while (!(await survives(k))) k++
  expect(k).toBeGreaterThan(30)
})
