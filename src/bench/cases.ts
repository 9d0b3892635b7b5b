// Which contexts of a batch fit into memory, and what is said of those that do not.
import type { MemoryNeeds } from '../../runtime/execute/device-model.ts'
import type { SkippedCase } from './result.ts'

/** left free for the runtime's own use, and for what a profile writes to pass time */
export const reserveBytes = 512 * 2 ** 20

interface Fitting {
  /** that can be measured, ascending */
  readonly contexts: readonly number[]
  /** tokens of cache that each sequence gets */
  readonly capacity: number
  readonly skipped: readonly SkippedCase[]
}

const gib = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`

/**
 * Leaves out contexts, the largest first, until what is left fits. `needsAt` says what loading with so many tokens of cache
 * takes; `beyond` tokens follow each context, and the cache holds `atLeast` tokens in any case.
 */
export function fitContexts(
  batch: number,
  wanted: readonly number[],
  { beyond, atLeast = 0 }: { readonly beyond: number; readonly atLeast?: number },
  freeBytes: number,
  needsAt: (capacity: number) => MemoryNeeds,
): Fitting {
  const contexts = [...new Set(wanted)].sort((a, b) => a - b)
  const skipped: SkippedCase[] = []
  const room = freeBytes - reserveBytes
  while (contexts.length > 0) {
    const capacity = Math.max(atLeast, contexts.at(-1)! + beyond)
    const needs = needsAt(capacity)
    if (needs.total <= room) return { contexts, capacity, skipped: skipped.reverse() }
    const left = room - (needs.total - needs.states)
    const tokens = Math.floor(left / (needs.states / capacity)) - beyond
    const sequences = batch === 1 ? '' : `${batch} times `
    const fits = tokens > 0 ? `context ${tokens} would fit` : 'not even the weights fit'
    skipped.push({
      context: contexts.pop()!,
      batch,
      reason: `needs ${gib(needs.total)} (${sequences}${capacity} tokens of cache: ${gib(needs.states)}), free are ${gib(Math.max(0, room))}; ${fits}`,
    })
  }
  return { contexts, capacity: 0, skipped: skipped.reverse() }
}
