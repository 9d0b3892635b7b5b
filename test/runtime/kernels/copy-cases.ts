// Rows by index, views into memory of their own, embeddings in every weight format.
import type { KernelSpec } from '../../../codegen/kernel.ts'
import { embedAppendKernel } from '../../../codegen/kernels/embed/embed.ts'
import {
  contiguous,
  embed,
  embedAppend,
  gatherRows,
  repeatKv,
  reshape,
  slice,
  transpose,
} from '../../../ir/ops/index.ts'
import { noToken } from '../../../ir/ops/model/no-token.ts'
import { quantFormats } from '../../../ir/quant.ts'
import { type Dtype, type FloatType, isQuant, tensor } from '../../../ir/type.ts'
import type { Value } from '../../../ir/value.ts'
import { quantize } from '../../quantize.ts'
import { inBlocks, type KernelCase, noise } from '../kernel-harness.ts'

const embedCase = (table: Dtype, y: FloatType, D: number): KernelCase => ({
  name: `embed ${table}[11, ${D}]→${y}`,
  graph: (g) =>
    g.output(
      'y',
      embed({ ids: g.input('ids', tensor('i32', ['T'])), table: g.weight('table', table, [11, D]) }, { dtype: y }),
    ),
  values: {
    ids: [10, 0, noToken, 3],
    table: isQuant(table) ? { bytes: quantize(table, noise(1, 11 * D)) } : noise(1, 11 * D),
  },
  bindings: { T: 4 },
})

/** Four tokens of three requests: one without a request, one without a page. */
const embedAppendCase = (table: Dtype, y: FloatType, D: number, specs?: readonly KernelSpec[]): KernelCase => ({
  name: `embed_append ${table}[11, ${D}]→${y}${specs ? ', in two blocks' : ''}`,
  graph: (g) => {
    const per = (name: string) => g.input(name, tensor('i32', ['T']))
    const where = {
      positions: per('positions'),
      seq: per('seq'),
      page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
    }
    const history = g.state('history', 'i32', ['P', 1, 4, 1])
    const results = embedAppend(
      { ids: per('ids'), table: g.weight('table', table, [11, D]), history, ...where },
      { dtype: y },
    )
    for (const [name, value] of Object.entries(results)) g.output(name, value)
  },
  values: {
    ids: [10, noToken, 3, 5],
    table: isQuant(table) ? { bytes: quantize(table, noise(1, 11 * D)) } : noise(1, 11 * D),
    history: Array.from({ length: 5 * 4 }, (_, i) => 100 + i),
    positions: [6, -1, 9, 7],
    seq: [0, -1, 2, 1],
    page_table: [4, 2, -1, 0, -1, 3, -1, -1, 1],
  },
  bindings: { T: 4, R: 3, P: 5, M: 3 },
  ...(specs ? { specs } : {}),
})

const gatherCase = (
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  R: number,
  view?: (x: Value) => Value,
): KernelCase => {
  const width = shape.reduce((a, b) => a * b, 1)
  return {
    name: `gather_rows ${name}`,
    graph: (g) => {
      const x = g.input('x', tensor(dtype, ['T', ...shape]))
      g.output('y', gatherRows({ x: view ? view(x) : x, rows: g.input('rows', tensor('i32', ['R'])) }))
    },
    values: {
      x:
        dtype.startsWith('f') || dtype === 'bf16'
          ? noise(2, 6 * width)
          : Array.from({ length: 6 * width }, (_, i) => i % 100),
      rows: [5, 0, 2].slice(0, R),
    },
    bindings: { T: 6, R },
  }
}

const copyCase = (
  name: string,
  dtype: Dtype,
  to: FloatType | undefined,
  shape: readonly number[],
  view: (x: Value) => Value,
): KernelCase => ({
  name: `contiguous ${name}`,
  graph: (g) => g.output('y', contiguous({ x: view(g.input('x', tensor(dtype, ['T', ...shape]))) }, { dtype: to })),
  values: { x: noise(3, 3 * shape.reduce((a, b) => a * b, 1), 100).map((v) => Math.round(v) + 200) },
  bindings: { T: 3 },
})

export const copyCases: readonly KernelCase[] = [
  embedCase('f32', 'f32', 17),
  embedCase('f16', 'bf16', 64),
  embedCase('bf16', 'f32', 512),
  ...(Object.keys(quantFormats) as Dtype[]).map((format, i) => embedCase(format, i % 2 ? 'f16' : 'f32', 256)),
  embedAppendCase('f16', 'f32', 40),
  embedAppendCase('q4_k', 'bf16', 256, [inBlocks(2, embedAppendKernel)]),
  gatherCase('f32', 'f32', [40], 3),
  gatherCase('bf16, odd', 'bf16', [3, 3], 2),
  gatherCase('i8', 'i8', [5], 3),
  gatherCase('none', 'f16', [8], 0),
  gatherCase('of a slice', 'f16', [64], 3, (x) => slice({ x }, { from: 8, to: 40 })),
  copyCase('f32→f16', 'f32', 'f16', [21], (x) => x),
  copyCase('slice', 'f16', undefined, [64], (x) => slice({ x }, { from: 16, to: 48 })),
  copyCase('odd slice bf16→f32', 'bf16', 'f32', [20], (x) => slice({ x }, { from: 3, to: 20 })),
  copyCase('transposed heads', 'f32', undefined, [64], (x) =>
    transpose({ x: reshape({ x }, { shape: ['T', 4, 16] }) }, { perm: [1, 0, 2] }),
  ),
  copyCase('transposed inner', 'i32', undefined, [5, 7], (x) => transpose({ x }, { perm: [2, 1, 0] })),
  copyCase('four dims', 'f16', 'f16', [3, 2, 8], (x) => transpose({ x }, { perm: [0, 2, 1, 3] })),
  {
    name: 'contiguous repeated heads',
    graph: (g) =>
      g.output('y', contiguous({ x: repeatKv({ x: g.input('x', tensor('f32', ['R', 'L', 2, 8])) }, { groups: 3 }) })),
    values: { x: noise(4, 2 * 5 * 2 * 8) },
    bindings: { R: 2, L: 5 },
  },
]
