// Where the time of a step that is one launch goes: what its blocks took down as they went through the calls
// (hip-templates/step/step.hip), summed by kernel and part of the model.
import type { Program } from '../../codegen/program.ts'
import type { StageTime } from './result.ts'

/** What each block took down in the launch that ran last: ticks, [call][block][begun, done, met]. */
interface StepTrace {
  readonly ticks: BigUint64Array
  readonly blocks: number
  readonly ticksPerUs: number
}

interface Sums {
  readonly kernel: string
  readonly part: string
  stages: number
  slowest: number
  mean: number
  waiting: number
  barriers: number
  barrier: number
}

/** One row for each kind of call, the one that takes most first. */
export function stageTimes({ ticks, blocks, ticksPerUs }: StepTrace, program: Program): StageTime[] {
  const groups = new Map<string, Sums>()
  const origin = ticks[0]! // as numbers, ticks since then are exact
  const at = (call: number, block: number, event: number): number =>
    Number(ticks[(call * blocks + block) * 3 + event]! - origin) / ticksPerUs
  for (const [i, { barrierAfter }] of program.persistent!.stages.entries()) {
    const { entry, label, op } = program.calls[i]!
    const part = (label ?? '').replace(/^blk\.\d+\.?/, '') || op
    const key = `${entry} ${part}`
    const sums: Sums = groups.get(key) ?? {
      ...{ kernel: entry, part, stages: 0, slowest: 0, mean: 0, waiting: 0, barriers: 0, barrier: 0 },
    }
    groups.set(key, sums)
    let [begun, done, met] = [Number.POSITIVE_INFINITY, 0, 0]
    for (let block = 0; block < blocks; block++) {
      const [from, to, left] = [at(i, block, 0), at(i, block, 1), at(i, block, 2)]
      begun = Math.min(begun, from)
      done = Math.max(done, to)
      met = Math.max(met, left)
      sums.mean += (to - from) / blocks
      sums.waiting += (left - to) / blocks
    }
    sums.stages++
    sums.slowest += done - begun
    sums.barriers += barrierAfter ? 1 : 0
    sums.barrier += barrierAfter ? met - done : 0
  }
  return [...groups.values()]
    .map(({ kernel, part, stages, slowest, mean, waiting, barriers, barrier }) => ({
      kernel,
      part,
      stages,
      slowestUs: slowest / stages,
      meanUs: mean / stages,
      waitingUs: waiting / stages,
      barriers,
      barrierUs: barriers ? barrier / barriers : null,
    }))
    .sort((a, b) => b.stages * (b.slowestUs + (b.barrierUs ?? 0)) - a.stages * (a.slowestUs + (a.barrierUs ?? 0)))
}
