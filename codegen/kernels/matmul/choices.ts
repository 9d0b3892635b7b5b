// Values of a kernel's parameters in order of preference, and the search for the best of them by a model of their time.
import type { Params } from '../../kernel.ts'

type Choices = Readonly<Record<string, readonly number[]>>

/** `all` with `first`, if there is one, in front. */
export const preferring = (first: number | undefined, all: readonly number[]): readonly number[] =>
  first === undefined ? all : [...new Set([first, ...all])]

/**
 * The combination of the least time, searched in the order of `names`; of those that differ by less than half a percent the
 * first. Undefined if none may be taken.
 * @param timeOf relative time of a combination, or undefined if it may not be taken
 */
export function quickest(
  choices: Choices,
  names: readonly string[],
  timeOf: (params: Params) => number | undefined,
): Params | undefined {
  let [found, least] = [undefined as Params | undefined, Number.POSITIVE_INFINITY]
  const params: Record<string, number> = {}
  const search = (depth: number): void => {
    const name = names[depth]
    if (name !== undefined) {
      for (const value of choices[name]!) {
        params[name] = value
        search(depth + 1)
      }
      return
    }
    const time = timeOf(params)
    if (time !== undefined && time < least * 0.995) [found, least] = [{ ...params }, time]
  }
  search(0)
  return found
}
