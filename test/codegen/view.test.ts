// Layouts: a view must show, at each index, the element that the op's reference computes there.

import { describe, expect, test } from 'vitest'
import { viewOps } from '../../codegen/select.ts'
import { isContiguous, isDenseRepeated, isRowStrided, type View, viewsOf } from '../../codegen/view.ts'
import { GraphBuilder } from '../../ir/builder.ts'
import { typeOf } from '../../ir/graph.ts'
import { hostTensor } from '../../ir/host-tensor.ts'
import { repeatKv, reshape, slice, transpose } from '../../ir/ops/index.ts'
import { parseGraph } from '../../ir/parse.ts'
import { executeReference } from '../../ir/reference.ts'
import { type Bindings, bindShape, product, tensor } from '../../ir/type.ts'
import type { Value } from '../../ir/value.ts'
import fc from '../fast-check.ts'

const bindings: Bindings = { T: 3 }

/** Element numbers that a view reads, in row-major order of its shape; null strides follow from the next dim. */
function elementsOf(view: View, shape: readonly number[]): number[] {
  const strides = [...view.strides]
  for (let i = shape.length - 2; i >= 0; i--)
    strides[i] ??= strides[i + 1]! * (i === 1 ? shape[2]! / view.groups : shape[i + 1]!)
  return Array.from({ length: product(shape) }, (_, n) => {
    let [rest, at] = [n, view.offset]
    for (let i = shape.length - 1; i >= 0; i--) {
      const index = rest % shape[i]!
      at += (i === 2 ? Math.floor(index / view.groups) : index) * strides[i]!
      rest = Math.floor(rest / shape[i]!)
    }
    return at
  })
}

/** Chains of views on x: f32[T, 2, 4], by what each number picks. */
function chain(choices: readonly number[]): { graph: GraphBuilder; y: Value } {
  const graph = new GraphBuilder()
  let y = graph.input('x', tensor('f32', ['T', 2, 4]))
  for (const choice of choices) {
    const { shape } = y.type
    const last = shape.at(-1)!
    const moves: (() => Value)[] = [
      () => reshape({ x: y }, { shape: ['T', product(shape.filter((d) => typeof d === 'number'))] }),
      () => reshape({ x: y }, { shape: ['T', ...shape.filter((d) => typeof d === 'number')] }),
      () =>
        typeof last === 'number' && last > 1 ? slice({ x: y }, { from: choice % 2, to: last - 1 + (choice % 2) }) : y,
      () => transpose({ x: y }, { perm: shape.map((_, i) => (i + 1) % shape.length) }),
      () => (shape.length === 4 && typeof shape[2] === 'number' ? repeatKv({ x: y }, { groups: 2 }) : y),
      () => reshape({ x: y }, { shape: [1, ...shape] }),
    ]
    if (y.type.shape.length < 6) y = moves[choice % moves.length]!()
  }
  graph.output('y', y)
  return { graph, y }
}

test('a view shows what the reference computes', () => {
  let shown = 0
  fc.assert(
    fc.property(fc.array(fc.nat(29), { minLength: 1, maxLength: 6 }), (choices) => {
      const { graph, y } = chain(choices)
      const built = graph.build()
      const view = viewsOf(built, viewOps()).get(y.id)!
      if (view.base !== '%x') return // a copy stands between
      shown++
      const x = hostTensor(
        'f32',
        [3, 2, 4],
        Array.from({ length: 24 }, (_, i) => i),
      )
      const expected = executeReference(built, { inputs: { x }, weight: () => expect.fail() }).y!
      const shape = bindShape(typeOf(built, y.id).shape, bindings)
      expect(elementsOf(view, shape)).toEqual([...expected.data])
      const symbolic = typeOf(built, y.id).shape
      const dense = [...expected.data].every((v, i) => v === i)
      if (isContiguous(view, symbolic) && view.offset === 0) expect(dense).toBe(true)
      if (isRowStrided(view, symbolic)) expect(typeof view.strides[0]).toBe('number')
    }),
    { numRuns: 500, seed: 1 },
  )
  expect(shown).toBeGreaterThan(100)
})

describe('layouts of heads', () => {
  const viewIn = (body: string, id: string) => {
    const graph = parseGraph(`graph @g(%x: f32[T, 24], %k: f32[R, L, 2, 4]) { ${body} return y = ${id} }`)
    return { view: viewsOf(graph, viewOps()).get(id)!, shape: typeOf(graph, id).shape }
  }
  test('heads of a merged projection keep its row stride', () => {
    const { view, shape } = viewIn(
      '%0: f32[T, 8] = slice(%x) {from = 16, to = 24} %1: f32[T, 2, 4] = reshape(%0) {shape = ["T", 2, 4]}',
      '%1',
    )
    expect(view).toEqual({ base: '%x', offset: 16, strides: [24, 4, 1], groups: 1 })
    expect([isContiguous(view, shape), isRowStrided(view, shape)]).toEqual([false, true])
  })
  test('repeated heads are one in memory', () => {
    const { view, shape } = viewIn('%0: f32[R, L, 6, 4] = repeat_kv(%k) {groups = 3}', '%0')
    expect(view).toEqual({ base: '%k', offset: 0, strides: [null, 8, 4, 1], groups: 3 })
    expect([isContiguous(view, shape), isRowStrided(view, shape), isDenseRepeated(view, shape)]).toEqual([
      false,
      false,
      true,
    ])
  })
  test('half of repeated heads is not dense underneath', () => {
    const { view, shape } = viewIn(
      '%0: f32[R, L, 6, 4] = repeat_kv(%k) {groups = 3} %1: f32[R, L, 6, 2] = slice(%0) {from = 0, to = 2}',
      '%1',
    )
    expect(isDenseRepeated(view, shape)).toBe(false)
  })
  test('what was transposed has no rows', () => {
    const { view, shape } = viewIn('%0: f32[24, T] = transpose(%x) {perm = [1, 0]}', '%0')
    expect(view.strides).toEqual([1, 24])
    expect([isContiguous(view, shape), isRowStrided(view, shape)]).toEqual([false, false])
  })
})
