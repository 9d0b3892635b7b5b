// What writes and reads the paged cache, and rope: head sizes, styles, partial rotation, factors, far positions, views.
import { kvAppend, kvRead, reshape, rope, ropeKvAppend, slice } from '../../../ir/ops/index.ts'
import { type CacheType, type Dtype, type FloatType, tensor } from '../../../ir/type.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

const ropeCase = (
  x: FloatType,
  C: number,
  dims: number,
  style: 'half-split' | 'interleaved',
  theta: number,
  factors = false,
  magnitude?: number,
): KernelCase => ({
  name: `rope ${x} C=${C} dims=${dims} ${style}${factors ? ' factors' : ''}${magnitude ? ` times ${magnitude}` : ''}`,
  graph: (g) =>
    g.output(
      'y',
      rope(
        {
          x: g.input('x', tensor(x, ['T', 3, C])),
          positions: g.input('positions', tensor('i32', ['T'])),
          factors: factors ? g.weight('factors', 'f32', [dims / 2]) : undefined,
        },
        { theta, dims, style, magnitude },
      ),
    ),
  values: {
    x: noise(1, 4 * 3 * C),
    positions: [0, 1, 4095, 131071],
    factors: Array.from({ length: dims / 2 }, (_, i) => (i % 3 ? 1 + i / 4 : 1)),
  },
  bindings: { T: 4 },
})

/** Two requests with pages in no order; the second token of request 1 opens a page. */
const where = {
  positions: [3, 4, 7, 8],
  seq: [0, 0, 1, 1],
  page_table: [5, 2, -1, 3, 0, 4],
}
const bindings = { T: 4, R: 2, P: 6, M: 3 }
/** Tokens 1 and 2 have no place: one has no position, one no request. */
const partly = { positions: [3, -1, 7, 8], seq: [0, 0, -1, 1] }

const appendCase = (
  [x, cache]: [Dtype, Dtype],
  [Hkv, page, C]: [number, number, number],
  places?: typeof partly,
): KernelCase => ({
  name: `kv_append ${x}→${cache} C=${C} page=${page}${places ? ' without place' : ''}`,
  graph: (g) => {
    const y = kvAppend({
      cache: g.state('cache', cache, ['P', Hkv, page, C]),
      x: g.input('x', tensor(x, ['T', Hkv, C])),
      positions: g.input('positions', tensor('i32', ['T'])),
      seq: g.input('seq', tensor('i32', ['T'])),
      page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
    })
    g.output('y', y)
  },
  values: {
    ...where,
    ...places,
    cache: cache === 'i32' ? new Int32Array(6 * Hkv * page * C) : noise(2, 6 * Hkv * page * C),
    x: x === 'i32' ? [1, 2, 3, 40000] : noise(3, 4 * Hkv * C, 3),
  },
  bindings,
})

const ropeAppendCase = (
  name: string,
  dtype: FloatType,
  cache: CacheType,
  [H, Hkv, C, dims]: [number, number, number, number],
  style: 'half-split' | 'interleaved',
  merged: boolean,
  places?: typeof partly,
): KernelCase => {
  const width = (H + 2 * Hkv) * C
  return {
    name: `rope_kv_append ${name}`,
    graph: (g) => {
      const x = g.input('x', tensor(dtype, ['T', width]))
      const heads = (from: number, count: number) =>
        reshape({ x: slice({ x }, { from: from * C, to: (from + count) * C }) }, { shape: ['T', count, C] })
      const part = (input: string, from: number, count: number) =>
        merged ? heads(from, count) : g.input(input, tensor(dtype, ['T', count, C]))
      const result = ropeKvAppend(
        {
          q: part('q', 0, H),
          k: part('k', H, Hkv),
          v: part('v', H + Hkv, Hkv),
          k_cache: g.state('k_cache', cache, ['P', Hkv, 4, C]),
          v_cache: g.state('v_cache', cache, ['P', Hkv, 4, C]),
          positions: g.input('positions', tensor('i32', ['T'])),
          seq: g.input('seq', tensor('i32', ['T'])),
          page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
        },
        { theta: 10000, dims, style },
      )
      g.output('q', result.q)
      g.output('k_cache', result.k_cache)
      g.output('v_cache', result.v_cache)
    },
    values: {
      ...where,
      ...places,
      x: noise(4, 4 * width),
      q: noise(5, 4 * H * C),
      k: noise(6, 4 * Hkv * C),
      v: noise(7, 4 * Hkv * C),
      k_cache: noise(8, 6 * Hkv * 4 * C),
      v_cache: noise(9, 6 * Hkv * 4 * C),
    },
    bindings,
  }
}

/** Of L = 14 positions the last two are beyond what M pages hold. */
const readCase = (L: number, cache: CacheType = 'bf16', C = 24): KernelCase => ({
  name: `kv_read L=${L}${cache === 'bf16' ? '' : ` ${cache}`}`,
  graph: (g) =>
    g.output(
      'y',
      kvRead(
        {
          cache: g.state('cache', cache, ['P', 2, 4, C]),
          page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
        },
        { dtype: 'f16' },
      ),
    ),
  values: { cache: noise(1, 6 * 2 * 4 * C), page_table: where.page_table },
  bindings: { R: 2, P: 6, M: 3, L },
})

export const cacheCases: readonly KernelCase[] = [
  ropeCase('f32', 64, 64, 'half-split', 10000),
  ropeCase('f16', 32, 32, 'interleaved', 500000, true),
  ropeCase('bf16', 80, 32, 'half-split', 10000, true),
  ropeCase('f32', 10, 6, 'interleaved', 100),
  ropeCase('f32', 64, 48, 'half-split', 10000, true, 1.1386294361119891),
  ropeCase('f32', 128, 128, 'half-split', 1e6),
  appendCase(['f32', 'f16'], [2, 4, 32]),
  appendCase(['bf16', 'bf16'], [3, 4, 5]),
  appendCase(['f32', 'f16'], [2, 4, 32], partly),
  appendCase(['i32', 'i32'], [1, 4, 1]),
  appendCase(['f32', 'q8_0'], [2, 4, 64]),
  appendCase(['f16', 'f8_e4m3'], [3, 4, 5]),
  appendCase(['bf16', 'f8_e4m3'], [2, 4, 32], partly),
  readCase(10),
  readCase(14),
  readCase(9, 'q8_0', 32),
  readCase(9, 'f8_e4m3', 20),
  ropeAppendCase('merged', 'f32', 'f16', [4, 2, 32, 32], 'half-split', true),
  ropeAppendCase('interleaved, part', 'bf16', 'bf16', [6, 1, 80, 40], 'interleaved', false),
  ropeAppendCase('without place', 'f32', 'f16', [4, 2, 32, 32], 'half-split', false, partly),
  ropeAppendCase('odd', 'f16', 'f32', [3, 3, 10, 10], 'half-split', false),
  ropeAppendCase('q8_0', 'f32', 'q8_0', [4, 2, 64, 32], 'half-split', true),
  ropeAppendCase('f8', 'bf16', 'f8_e4m3', [2, 1, 20, 12], 'interleaved', false),
]
