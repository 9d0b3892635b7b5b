// Launches that begin before those ahead of them are done. Where a device can do that (CUDA's programmatic dependent launch,
// compute capability 9.0 and newer), a kernel whose template calls await_earlier_launches (prelude/block.h) is started as
// soon as there is room for its blocks, reads what no launch writes, and only then waits.
import type { Target } from '../ir/target.ts'
import { bodyOf } from './source.ts'

const overlapsLaunches = ({ platform, name }: Target): boolean =>
  platform === 'nvidia' && Number(/^sm_(\d+)/.exec(name)?.[1] ?? 0) >= 90

/**
 * May a call of this template be launched early? The first of a program may not: with it every step begins when the one
 * before is done, so that before its wait a kernel may also read what only other steps write.
 */
export const launchesEarly = (template: string, target: Target, place: number): boolean =>
  place > 0 && overlapsLaunches(target) && bodyOf(template).text.includes('await_earlier_launches()')
