// A bound on what runs at once.

export type Slots = <T>(action: () => Promise<T>, signal?: AbortSignal) => Promise<T>

/** Lets `count` actions run at once; the others wait their turn. */
export function slots(count: number): Slots {
  let free = count
  const waiting: (() => void)[] = []
  return async (action, signal) => {
    if (free > 0) free--
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      signal?.throwIfAborted()
      return await action()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}
