// Tokens on their way from a device to the host, the device played by stores into the ring.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { hostLibraryPath } from '../../../runtime/host/library.ts'
import { Driver, type Stream } from '../../../runtime/platform/driver.ts'
import { TokenRing } from '../../../src/engine/token-ring.ts'
import { ringSlots } from '../../../src/models/step.ts'

let driver: Driver
let stream: Stream
beforeAll(async () => {
  driver = new Driver('host', await hostLibraryPath(), 0)
  stream = driver.createStream()
})
afterAll(() => {
  stream[Symbol.dispose]()
  driver[Symbol.dispose]()
})

/** A driver whose device does not see the host's memory. */
const apart = () =>
  new Proxy(driver, {
    get(target, name) {
      if (name === 'allocShared') return () => undefined
      if (name === 'sharesHostMemory') return false
      const value = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })

describe.each([
  ['in memory that both see', () => driver],
  ['copied from the device', apart],
])('%s', (_, on) => {
  test('tokens of each step and row arrive, however far the device is ahead', async () => {
    using ring = new TokenRing(on())
    const rows = 3
    const words = new Int32Array(driver.viewOf(ring.address, ringSlots * rows * 8).buffer)
    const run = (step: number) => {
      for (let row = 0; row < rows; row++) words.set([step * 10 + row, step + 1], ((step % ringSlots) * rows + row) * 2)
      ring.follow(step, rows, stream)
    }
    let started = 0
    for (let step = 0; step < 40; step++) {
      while (started < step + 1 + (step % ringSlots)) run(started++)
      expect(await ring.take(step, rows, 2, stream)).toEqual([step * 10, step * 10 + 1])
    }
  })
})

test.each([
  ['waited for by event', () => driver],
  ['looked for', apart],
])('a step that ran and left no token, %s, is our error, not a wait without end', async (_, on) => {
  using ring = new TokenRing(on())
  await expect(ring.take(0, 1, 1, stream)).rejects.toThrow('step 0 of a decoding has run and left no token')
})
