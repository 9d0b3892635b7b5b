// Launches of a step, summed by kernel and part of the model.
import { evaluate } from '../../codegen/extent.ts'
import type { Program } from '../../codegen/program.ts'
import type { Bindings } from '../../ir/type.ts'
import type { LaunchSpan } from './launch-timer.ts'
import type { KernelTime, StepProfile } from './result.ts'
import { median } from './statistics.ts'

interface Group extends Omit<KernelTime, 'ms' | 'launches' | 'gbPerSecond'> {
  /** time of each step */
  readonly steps: number[]
  launches: number
  bytes: number
}

/** `spans` are of `steps` equal steps; `stepMs` is what a step takes when nothing is timed in it. */
export function profileOf(
  spans: readonly LaunchSpan[],
  steps: number,
  program: Program,
  bindings: Bindings,
  stepMs: number,
): StepProfile | null {
  if (spans.length === 0 || spans.length % steps !== 0) return null
  const perStep = spans.length / steps
  const calls = perStep === program.calls.length ? program.calls : []
  const bound: Bindings = { ...program.limits, ...bindings }
  const groups = new Map<string, Group>()
  for (const [i, { kernel, blocks, threads, ms }] of spans.entries()) {
    const call = calls[i % perStep]
    const part = call ? (call.label ?? '').replace(/^blk\.\d+\.?/, '') || call.op : ''
    const key = [kernel, part, blocks, threads].join(' ')
    const empty = { kernel, part, blocks, threads, steps: Array<number>(steps).fill(0), launches: 0, bytes: 0 }
    const group = groups.get(key) ?? empty
    groups.set(key, group)
    group.steps[Math.floor(i / perStep)]! += ms
    group.launches += 1 / steps
    group.bytes += (call ? evaluate(call.cost.bytes, bound) : 0) / steps
  }
  const kernels = [...groups.values()]
    .map(({ steps: times, launches, bytes, ...rest }): KernelTime => {
      const ms = median(times)
      return { ...rest, launches: Math.round(launches), ms, gbPerSecond: bytes > 0 && ms > 0 ? bytes / ms / 1e6 : null }
    })
    .sort((a, b) => b.ms - a.ms)
  const kernelsMs = kernels.reduce((sum, { ms }) => sum + ms, 0)
  return { kernels, kernelsMs, gapsMs: stepMs - kernelsMs }
}
