// The filters by name. A filter gets the interpreter's services, for those that escape or call others by name.
import { listFilters } from './list-filters.ts'
import { pickFilters } from './pick-filters.ts'
import type { Bound, Parameters } from './signature.ts'
import { textFilters } from './text-filters.ts'
import { valueFilters } from './value-filters.ts'
import type { Kwargs, Value } from './values.ts'

/** What filters and tests may ask of the interpreter. */
export interface Services {
  /** whether output is escaped where the template is now */
  readonly autoescape: boolean
  callFilter(name: Value, value: Value, args: readonly Value[], kwargs: Kwargs): Value
  callTest(name: Value, value: Value, args: readonly Value[], kwargs: Kwargs): boolean
  /** a number from 0 up to, not including, `count`; the same sequence in every rendering */
  random(count: number): number
}

export type Filter = readonly [
  /** of the Python function, for messages */
  name: string,
  parameters: Parameters,
  run: (args: Bound, services: Services) => Value,
]
export type Filters = Readonly<Record<string, Filter>>

const all: Filters = { ...textFilters, ...valueFilters, ...listFilters, ...pickFilters }

export const findFilter = (name: string): Filter | undefined => (Object.hasOwn(all, name) ? all[name] : undefined)
