// What the penalties say alike about the history: a paged cache of token ids by position, written like keys and values.
import type { HostTensor } from '../../host-tensor.ts'
import { expectDtype, expectFloat, expectIndices, expectRank, expectState, sameDim } from '../../op.ts'
import type { TensorType } from '../../type.ts'

/** Operands that every op over the history has. */
export const historyOperands = {
  logits: 'float[R, V]',
  history: 'state i32[P, 1, page, 1] token ids by position',
  positions: 'i32[R] last position of each request; negative: nothing is changed',
  page_table: 'i32[R, M] pages of each request',
} as const

type Named<T> = Readonly<Record<keyof typeof historyOperands, T>>

/** `per` are the f32[R] and i32[R] settings of the requests. */
export function inferOverHistory(
  { logits, history, positions, page_table }: Named<TensorType>,
  per: Readonly<Record<string, readonly ['f32' | 'i32', TensorType]>>,
): TensorType {
  expectFloat('logits', logits)
  expectRank('logits', logits, 2)
  expectState('history', history)
  expectDtype('history', history, 'i32')
  expectRank('history', history, 4)
  expectIndices('positions', positions)
  expectDtype('page_table', page_table, 'i32')
  expectRank('page_table', page_table, 2)
  for (const [name, [dtype, type]] of Object.entries(per)) {
    expectDtype(name, type, dtype)
    expectRank(name, type, 1)
  }
  const places = Object.values(per).map(([, type]): [TensorType, number] => [type, 0])
  sameDim('R', [logits, 0], [positions, 0], [page_table, 0], ...places)
  return logits
}

/** How often each token stands at positions from … positions[r] of request r; tokens outside V and missing pages are passed over. */
export function countTokens(
  { logits, history, positions, page_table }: Named<HostTensor>,
  r: number,
  from: number,
): Map<number, number> {
  const [page, pages, V] = [history.shape[2]!, page_table.shape[1]!, logits.shape[1]!]
  const counts = new Map<number, number>()
  for (let p = Math.max(0, from); p <= positions.data[r]!; p++) {
    const at = Math.floor(p / page) < pages ? page_table.data[r * pages + Math.floor(p / page)]! : -1
    const token = at < 0 ? -1 : history.data[at * page + (p % page)]!
    if (token >= 0 && token < V) counts.set(token, (counts.get(token) ?? 0) + 1)
  }
  return counts
}
