// Where the time of a step that is one launch goes, from what its blocks took down.
import { expect, test } from 'vitest'
import type { Program } from '../../../codegen/program.ts'
import { stageTimes } from '../../../src/bench/stage-times.ts'

test('work until the slowest block, waits and barriers, by kernel and part', () => {
  const program = {
    calls: [
      { entry: 'gemv', label: 'blk.0.qkv', op: 'matmul' },
      { entry: 'rope', label: 'blk.0', op: 'rope' },
      { entry: 'gemv', label: 'blk.1.qkv', op: 'matmul' },
    ],
    persistent: { stages: [{ barrierAfter: true }, { barrierAfter: false }, { barrierAfter: true }] },
  } as unknown as Program
  // two blocks; ticks of 10 ns, from a clock that started long ago
  const start = 2n ** 60n
  const times = [
    [0, 1000, 1200],
    [50, 700, 1250],
    [1200, 1300, 1300],
    [1250, 1290, 1290],
    [1300, 1500, 1600],
    [1290, 1550, 1610],
  ]
  const ticks = BigUint64Array.from(times.flat().map((at) => start + BigInt(at)))
  const rows = stageTimes({ ticks, blocks: 2, ticksPerUs: 100 }, program)
  expect(rows.map(({ kernel, part, stages }) => [kernel, part, stages])).toEqual([
    ['gemv', 'qkv', 2],
    ['rope', 'rope', 1],
  ])
  const [gemv, rope] = rows
  expect(gemv!.slowestUs).toBeCloseTo((10 + 2.6) / 2)
  expect(gemv!.meanUs).toBeCloseTo((10 + 6.5 + 2 + 2.6) / 4)
  expect(gemv!.waitingUs).toBeCloseTo((2 + 5.5 + 1 + 0.6) / 4)
  expect(gemv!.barriers).toBe(2)
  expect(gemv!.barrierUs).toBeCloseTo((2.5 + 0.6) / 2)
  expect(rope).toMatchObject({ barriers: 0, barrierUs: null })
})
