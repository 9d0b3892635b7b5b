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

interface Placement {
  readonly offsets: ReadonlyMap<string, number>
  /** size of the arena */
  readonly bytes: number
}

/** Aligned for 16-byte vector loads on every platform and for whole cache lines. */
export const arenaAlignment = 256

const aligned = (bytes: number): number => Math.ceil(bytes / arenaAlignment) * arenaAlignment

interface Place {
  readonly start: number
  readonly end: number
}

/**
 * Greedy by size (Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020): the largest value
 * first, at the lowest offset where no value alive at the same time lies. What lies there is looked up call by call, so the
 * time is linear in the calls that values live through: most of them a few.
 */
export function planMemory(lifetimes: readonly Lifetime[]): Placement {
  const offsets = new Map<string, number>()
  const placedAt = new Map<number, Place[]>()
  let bytes = 0
  for (const value of [...lifetimes].sort((a, b) => b.bytes - a.bytes || a.from - b.from || (a.id < b.id ? -1 : 1))) {
    const taken = new Set<Place>()
    for (let at = value.from; at <= value.to; at++) for (const place of placedAt.get(at) ?? []) taken.add(place)
    const size = aligned(value.bytes)
    let start = 0
    for (const other of [...taken].sort((a, b) => a.start - b.start)) {
      if (other.start >= start + size) break
      start = Math.max(start, other.end)
    }
    offsets.set(value.id, start)
    const place = { start, end: start + size }
    for (let at = value.from; at <= value.to; at++) {
      const places = placedAt.get(at)
      if (places) places.push(place)
      else placedAt.set(at, [place])
    }
    bytes = Math.max(bytes, place.end)
  }
  return { offsets, bytes }
}
