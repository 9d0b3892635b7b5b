// Fault injection for tests: the driver's calls with one of them failing.
import type { Calls } from '../../../runtime/platform/calls.ts'

const outOfMemory = 2

/** `wrapCalls` for a driver whose allocation number k (device, pinned or stream-ordered, from 0) fails. */
export function failingAllocation(k: number): (calls: Calls) => Calls {
  return (calls) => {
    let count = 0
    const wrap =
      <A extends unknown[]>(call: (...args: A) => number) =>
      (...args: A): number =>
        count++ === k ? outOfMemory : call(...args)
    return {
      ...calls,
      alloc: wrap(calls.alloc),
      hostAlloc: wrap(calls.hostAlloc),
      ...(calls.allocAsync ? { allocAsync: wrap(calls.allocAsync) } : {}),
    }
  }
}
