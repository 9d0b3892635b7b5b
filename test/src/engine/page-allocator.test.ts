// Pages: none is lost, none is allocated twice; who waits is served in order, and leaves no trace when they give up.
import { spawn } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { build } from 'esbuild'
import { expect, test } from 'vitest'
import { Diagnostic } from '../../../ir/diagnostic.ts'
import { packageRoot } from '../../../ir/package-root.ts'
import { PageAllocator } from '../../../src/engine/page-allocator.ts'
import fc from '../../fast-check.ts'

interface Asked {
  readonly count: number
  readonly abort: AbortController
  state: 'waits' | 'has' | 'aborted' | 'refused'
  pages: number[]
}

test('no page is lost, none is allocated twice, the first who waits is the next who is served', () => {
  const action = fc.oneof(
    { weight: 3, arbitrary: fc.record({ ask: fc.nat(12) }) },
    { weight: 3, arbitrary: fc.record({ free: fc.nat(5) }) }, // which of those who have some
    { weight: 1, arbitrary: fc.record({ abort: fc.nat(5) }) }, // which of those who wait
  )
  return fc.assert(
    fc.asyncProperty(fc.nat(20), fc.array(action, { maxLength: 60 }), async (pages, actions) => {
      const allocator = new PageAllocator(pages)
      const all: Asked[] = []
      const those = (state: Asked['state']) => all.filter((one) => one.state === state)
      for (const one of actions) {
        if ('ask' in one) {
          const asked: Asked = { count: one.ask, abort: new AbortController(), state: 'waits', pages: [] }
          all.push(asked)
          allocator.allocate(one.ask, asked.abort.signal).then(
            (got) => Object.assign(asked, { state: 'has', pages: got }),
            (error) => Object.assign(asked, { state: error.code === 'kv-full' ? 'refused' : 'aborted' }),
          )
        } else if ('free' in one) {
          const has = those('has')
          const chosen = has[one.free % Math.max(1, has.length)]
          if (chosen) {
            allocator.free(chosen.pages)
            all.splice(all.indexOf(chosen), 1)
          }
        } else {
          const waits = those('waits')
          waits[one.abort % Math.max(1, waits.length)]?.abort.abort()
        }
        await new Promise(setImmediate)
        const used = those('has').flatMap((asked) => asked.pages)
        expect(new Set(used).size).toBe(used.length)
        expect(used.every((page) => Number.isInteger(page) && page >= 0 && page < pages)).toBe(true)
        expect(allocator.available + used.length).toBe(pages)
        for (const { count, state } of all) expect(state === 'refused').toBe(count > pages)
        const waits = those('waits')
        expect(allocator.waiting).toBe(waits.length)
        if (waits[0]) expect(waits[0].count, 'the first waits for a reason').toBeGreaterThan(allocator.available)
        // whoever asked after the first that waits has nothing yet
        const later = waits[0] ? all.slice(all.indexOf(waits[0])) : []
        expect(later.filter(({ state, count }) => state === 'has' && count > 0)).toEqual([])
        expect(process.listenerCount('beforeExit')).toBe(before + (waits.length > 0 ? 1 : 0))
      }
      allocator.close(new Diagnostic({ code: 'disposed', message: 'gone' }))
      await new Promise(setImmediate)
      expect(process.listenerCount('beforeExit')).toBe(before)
    }),
    { numRuns: 100 },
  )
})
const before = process.listenerCount('beforeExit')

test('pages of a fresh cache come in order; those that were freed come again', async () => {
  const allocator = new PageAllocator(4)
  expect(await allocator.allocate(3)).toEqual([0, 1, 2])
  allocator.free([0, 1, 2])
  expect(await allocator.allocate(2)).toEqual([0, 1])
})

test('to free what is not held is our own mistake', async () => {
  const allocator = new PageAllocator(4)
  const pages = await allocator.allocate(2)
  allocator.free(pages)
  expect(() => allocator.free(pages)).toThrowError(/internal: .*twice/)
  expect(() => allocator.free([3])).toThrowError(/internal: /)
})

test('what can never fit is refused at once, with both numbers', async () => {
  const allocator = new PageAllocator(4)
  await allocator.allocate(3)
  await expect(allocator.allocate(5)).rejects.toThrowErrorMatchingInlineSnapshot(`
    [Diagnostic: error[kv-full]: a sequence needs 5 pages of the KV cache, which has 4
      help: ask for fewer tokens, or compile with a larger context]
  `)
})

test('who waits when it is closed is told why, and so is who asks later', async () => {
  const allocator = new PageAllocator(4)
  const held = await allocator.allocate(3)
  const waiting = [allocator.allocate(2), allocator.allocate(1)]
  const gone = new Diagnostic({ code: 'disposed', message: 'gone' })
  allocator.close(gone)
  expect(await Promise.allSettled(waiting)).toEqual(waiting.map(() => ({ status: 'rejected', reason: gone })))
  await expect(allocator.allocate(1)).rejects.toBe(gone)
  allocator.free(held)
  expect(allocator.available).toBe(4)
})

test('a program in which nobody is left to free pages ends with an error, not in silence', async () => {
  const contents = `
    import { PageAllocator } from './src/engine/page-allocator.ts'
    const pages = new PageAllocator(4)
    await pages.allocate(3)
    await pages.allocate(2)`
  const options = { bundle: true, platform: 'node', format: 'esm', write: false } as const
  const { outputFiles } = await build({ stdin: { contents, resolveDir: packageRoot() }, ...options })
  const child = spawn(process.execPath, ['--input-type=module', '-e', outputFiles[0]!.text])
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  expect(code).toBe(1)
  expect(stderr).toContain('error[kv-full]: a generation waits for 2 pages of the KV cache, and nobody is left')
})

test('many wait under one signal with one listener, which is gone when nobody waits', async () => {
  const allocator = new PageAllocator(1)
  const { signal, ...controller } = countingSignal()
  await allocator.allocate(1)
  const waiting = Array.from({ length: 20 }, () => allocator.allocate(1, signal))
  const other = allocator.allocate(1)
  expect(controller.listeners()).toBe(1)
  const ended = Promise.allSettled(waiting)
  controller.abort()
  expect((await ended).map((one) => one.status === 'rejected' && one.reason)).toEqual(Array(20).fill('enough'))
  expect(controller.listeners()).toBe(0)
  allocator.free([0])
  expect(await other).toEqual([0])
  allocator.free([0])

  const served = countingSignal()
  await allocator.allocate(1)
  const next = allocator.allocate(1, served.signal)
  expect(served.listeners()).toBe(1)
  allocator.free([0])
  await next
  expect(served.listeners()).toBe(0)
})

function countingSignal() {
  const controller = new AbortController()
  return {
    signal: controller.signal,
    abort: () => controller.abort('enough'),
    listeners: () => getEventListeners(controller.signal, 'abort').length,
  }
}
