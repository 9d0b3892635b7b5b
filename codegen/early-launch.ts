// Launches that begin before those ahead of them are done. Where a device can do that (CUDA's programmatic dependent launch,
// compute capability 9.0 and newer), a kernel whose template calls await_earlier_launches (prelude/block.h) is started as
// soon as there is room for its blocks, reads what no launch writes, and only then waits.
import type { Target } from '../ir/target.ts'
import type { KernelCall } from './program.ts'
import { bodyOf } from './source.ts'

const overlapsLaunches = ({ platform, name }: Target): boolean =>
  platform === 'nvidia' && Number(/^sm_(\d+)/.exec(name)?.[1] ?? 0) >= 90

const awaits = (template: string): boolean => bodyOf(template).text.includes('await_earlier_launches()')

/**
 * The calls, with those marked that may be launched early. The first may not: with it every step begins when the one before
 * is done, so that before its wait a kernel may also read what only other steps write. Nor may the last, and a program
 * whose last kernel would let others begin has no early launches at all: whatever follows a program waits for a plain launch.
 * @param templateOf the template of a call
 */
export function markEarly(
  calls: readonly KernelCall[],
  templateOf: (call: KernelCall) => string,
  target: Target,
): readonly KernelCall[] {
  const last = calls.at(-1)
  if (!last || !overlapsLaunches(target) || awaits(templateOf(last))) return calls
  return calls.map((call, i) => (i > 0 && awaits(templateOf(call)) ? { ...call, early: true } : call))
}
