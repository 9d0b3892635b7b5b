// Memory plan: every value that lives only inside a step gets a place in one arena. A value lives from the call that writes
// it to the last that reads it; places of values alive together never overlap. Addresses are static, so that a step can be
// captured once and replayed.

export interface Lifetime {
  readonly id: string
  readonly bytes: number
  /** index of the first and last call that touches it, inclusive */
  readonly from: number
  readonly to: number
}

export interface Placement {
  readonly offsets: ReadonlyMap<string, number>
  /** size of the arena */
  readonly bytes: number
}

/** Aligned for 16-byte vector loads on every platform and for whole cache lines. */
export const arenaAlignment = 256

const aligned = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment

/**
 * Greedy by size (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020): the largest value
 * first, at the lowest offset where no value alive at the same time lies.
 */
export function planMemory(lifetimes: readonly Lifetime[]): Placement {
  const offsets = new Map<string, number>()
  const placed: { from: number; to: number; start: number; end: number }[] = []
  let bytes = 0
  for (const value of [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.from - b.from || (a.id < b.id ? -1 : 1))) {
    const size = aligned(value.bytes)
    let start = 0
    for (const other of placed) {
      if (other.to < value.from || other.from > value.to) continue
      if (other.start >= start + size) break
      start = Math.max(start, other.end)
    }
    offsets.set(value.id, start)
    const entry = { from: value.from, to: value.to, start, end: start + size }
    const at = placed.findIndex((other) => other.start > start)
    placed.splice(at < 0 ? placed.length : at, 0, entry)
    bytes = Math.max(bytes, entry.end)
  }
  return { offsets, bytes }
}
