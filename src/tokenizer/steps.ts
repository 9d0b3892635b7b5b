// Work that may take long, cut into steps: run to its end at once, or in slices between which the event loop turns.

/** Yields now and then; a million characters are a few thousand steps. */
export type Steps<T> = Generator<undefined, T, undefined>

export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** Between slices, timers and input get their turn. */
export async function finishInSlices<T>(steps: Steps<T>, sliceMs = 8): Promise<T> {
  for (;;) {
    const until = performance.now() + sliceMs
    do {
      const { done, value } = steps.next()
      if (done) return value
    } while (performance.now() < until)
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
