// Logits: the largest, the k largest, penalties, biases, draws with every option, on flat, steep, tied and broken rows.
import type { KernelSpec } from '../../../codegen/kernel.ts'
import { penalisedPublishKernel } from '../../../codegen/kernels/sample/sample.ts'
import type { GraphBuilder } from '../../../ir/builder.ts'
import {
  argmax,
  frequencyPenalty,
  logitBias,
  penalisedPublish,
  penalisedSample,
  repeatPenalty,
  sample,
  topk,
} from '../../../ir/ops/index.ts'
import { type FloatType, tensor } from '../../../ir/type.ts'
import { inBlocks, type KernelCase, noise } from '../kernel-harness.ts'

const none = Number.NEGATIVE_INFINITY

/** flat · steep · ties · much at −∞ · one NaN · −∞ alone · one finite · +∞ · all equal · far from each other */
export function rowsOf(V: number): Float32Array[] {
  const all = (value: number) => new Float32Array(V).fill(value)
  return [
    noise(1, V, 3),
    noise(2, V, 30),
    noise(3, V, 4).map(Math.round),
    noise(4, V, 5).map((v, i) => (i % 7 === 0 || i % 11 === 0 ? none : v)),
    noise(4, V, 5).map((v, i) => (i === Math.floor(V / 2) ? Number.NaN : i % 11 === 0 ? none : v)),
    all(none),
    all(none).map((v, i) => (i === Math.floor(V * 0.7) ? -4 : v)),
    noise(6, V, 2).map((v, i) => (i === Math.floor(V / 3) || i === Math.floor(V / 5) ? Number.POSITIVE_INFINITY : v)),
    all(-1.5),
    noise(7, V, 6).map((v) => v ** 3),
  ]
}
const V = 1003
const rows = rowsOf(V)
const R = rows.length

export interface DrawOptions {
  readonly temperature?: number
  readonly top_k?: number
  readonly top_p?: number
  readonly min_p?: number
}

const settings = (g: GraphBuilder) => {
  const per = (input: string, dtype: 'f32' | 'i32' | 'u32') => g.input(input, tensor(dtype, ['R']))
  return {
    temperature: per('temperature', 'f32'),
    top_k: per('top_k', 'i32'),
    top_p: per('top_p', 'f32'),
    min_p: per('min_p', 'f32'),
    seed: per('seed', 'u32'),
  }
}
const settingValues = (options: readonly DrawOptions[]) => ({
  temperature: options.map((o) => o.temperature ?? 1),
  top_k: options.map((o) => o.top_k ?? 0),
  top_p: options.map((o) => o.top_p ?? 1),
  min_p: options.map((o) => o.min_p ?? 0),
  seed: options.map((_, i) => (i * 2654435761) >>> 0),
})

/** Each row drawn from with its options. */
export const drawEach = (
  name: string,
  from: readonly ArrayLike<number>[],
  options: readonly DrawOptions[],
  x: FloatType = 'f32',
  more: Partial<KernelCase> = {},
): KernelCase => ({
  name: `sample ${name}`,
  graph: (g) => {
    const logits = g.input('logits', tensor(x, ['R', from[0]!.length]))
    g.output('y', sample({ logits, ...settings(g), positions: g.input('positions', tensor('i32', ['R'])) }))
  },
  values: {
    logits: Float32Array.from(from.flatMap((row) => Array.from(row))),
    ...settingValues(options),
    positions: from.map((_, i) => i * 37),
  },
  bindings: { R: from.length },
  ...more,
})

const draw = (name: string, o: DrawOptions, x: FloatType = 'f32', from: readonly Float32Array[] = rows): KernelCase =>
  drawEach(
    name,
    from,
    from.map(() => o),
    x,
  )

/** Every kind of row with every kind of option. */
export function everyDraw(V: number, options: readonly DrawOptions[], more: Partial<KernelCase> = {}): KernelCase {
  const pairs = rowsOf(V).flatMap((row) => options.map((o) => [row, o] as const))
  return drawEach(
    `V=${V}, every option on every row`,
    pairs.map(([row]) => row),
    pairs.map(([, o]) => o),
    'f32',
    more,
  )
}
export const someOptions = (V: number): DrawOptions[] => [
  {},
  { temperature: 0, top_k: 3 },
  { temperature: 1e-30 },
  { temperature: 100 },
  { top_k: 1 },
  { top_k: 40, temperature: 2 },
  { top_k: V },
  { top_p: 0.001 },
  { top_p: 0.9 },
  { top_p: 0.99, top_k: 100, temperature: 3 },
  { min_p: 1 },
  { min_p: 0.1 },
  { top_k: 20, top_p: 0.8, min_p: 0.02, temperature: 0.7 },
]

const largest = (x: FloatType, from: readonly Float32Array[] = rows): KernelCase => ({
  name: `argmax ${x} V=${from[0]!.length}`,
  graph: (g) => g.output('y', argmax({ x: g.input('x', tensor(x, ['R', from[0]!.length])) })),
  values: { x: Float32Array.from(from.flatMap((row) => [...row])) },
  bindings: { R: from.length },
})

const kLargest = (x: FloatType, k: number, columns = V): KernelCase => ({
  name: `topk ${x} k=${k} V=${columns}`,
  graph: (g) => {
    const { values, indices } = topk({ x: g.input('x', tensor(x, ['R', columns])) }, { k })
    g.output('values', values)
    g.output('indices', indices)
  },
  values: { x: Float32Array.from(rows.flatMap((row) => [...row.subarray(0, columns)])) },
  bindings: { R },
})

// ---- changes: three requests, one of them idle, with tokens outside the vocabulary, pages that are not there -------------

const history = (g: GraphBuilder) => ({
  history: g.state('history', 'i32', ['P', 1, 8, 1]),
  positions: g.input('positions', tensor('i32', ['R'])),
  page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
})
const historyValues = (columns: number) => ({
  history: Array.from({ length: 5 * 8 }, (_, i) => (i % 13 === 12 ? 10 ** 6 : ((i % 9) ** 3 * 7) % columns)),
  positions: [20, 30, -1],
  page_table: [4, 0, 2, 1, 1, -1, 3, 2, -1, -1, -1, -1],
})
const changeBindings = { R: 3, P: 5, M: 4 }
const per = (g: GraphBuilder, name: string, dtype: 'f32' | 'i32') => g.input(name, tensor(dtype, ['R']))
const repeat = (g: GraphBuilder) => ({ penalty: per(g, 'penalty', 'f32'), window: per(g, 'window', 'i32') })
const frequency = (g: GraphBuilder) => ({
  from: per(g, 'from', 'i32'),
  frequency: per(g, 'frequency', 'f32'),
  presence: per(g, 'presence', 'f32'),
})
const biases = (g: GraphBuilder, slots: number) => ({
  ids: g.input('ids', tensor('i32', ['R', slots])),
  values: g.input('values', tensor('f32', ['R', slots])),
})
/** A full list with an id twice, one that ends in the middle, an empty one. */
const biasValues = (slots: number, columns: number) => ({
  ids: Array.from({ length: 3 * slots }, (_, at) => {
    const [r, i] = [Math.floor(at / slots), at % slots]
    if (r === 2 || (r === 1 && i === slots >> 1)) return -1
    return i === 3 ? columns : i === 5 ? 4 : i
  }),
  values: noise(11, 3 * slots, 6),
})

const penalty = (x: FloatType, window: number): KernelCase => ({
  name: `repeat_penalty ${x} window ${window}`,
  graph: (g) =>
    g.output('y', repeatPenalty({ logits: g.input('logits', tensor(x, ['R', 500])), ...history(g), ...repeat(g) })),
  values: {
    logits: noise(7, 3 * 500, 5),
    ...historyValues(500),
    penalty: [1.3, 2, 1.1],
    window: [window, 64, 5],
  },
  bindings: changeBindings,
})

const counted = (x: FloatType, columns: number): KernelCase => ({
  name: `frequency_penalty ${x} V=${columns}`,
  graph: (g) => {
    const logits = g.input('logits', tensor(x, ['R', columns]))
    g.output('y', frequencyPenalty({ logits, ...history(g), ...frequency(g) }))
  },
  values: {
    logits: noise(8, 3 * columns, 5),
    ...historyValues(columns),
    from: [4, -3, 0],
    frequency: [0.7, 0, 1],
    presence: [0, -1.5, 1],
  },
  bindings: changeBindings,
})

const biased = (x: FloatType, slots: number): KernelCase => ({
  name: `logit_bias ${x} ${slots} slots`,
  graph: (g) => g.output('y', logitBias({ logits: g.input('logits', tensor(x, ['R', 777])), ...biases(g, slots) })),
  values: { logits: noise(9, 3 * 777, 5), ...biasValues(slots, 777) },
  bindings: changeBindings,
})

type Change = 'none' | 'repeat' | 'all'
const penalisedOperands = (g: GraphBuilder, columns: number) => ({
  logits: g.input('logits', tensor('f32', ['R', columns])),
  ...history(g),
  ...{ ...repeat(g), ...frequency(g), ...biases(g, 70), ...settings(g) },
})
const penalisedValues = (columns: number, o: DrawOptions, change: Change) => ({
  logits: noise(12, 3 * columns, 4),
  ...historyValues(columns),
  penalty: change === 'none' ? [1, 1, 1] : [1.5, 3, 1.1],
  window: [-1, change === 'none' ? 64 : 10, 0],
  from: [2, 7, 0],
  frequency: change === 'all' ? [1.5, -0.5, 0] : [0, 0, 0],
  presence: change === 'all' ? [0.5, 0, 1] : [0, 0, 0],
  ...biasValues(70, columns),
  ...(change === 'all' ? {} : { ids: new Array(3 * 70).fill(-1) }),
  ...settingValues([o, o, o]),
})

/** Nothing changes, one thing, all: drawn as the settings say. */
const penalised = (columns: number, o: DrawOptions, change: Change): KernelCase => ({
  name: `penalised_sample V=${columns} ${change} ${JSON.stringify(o)}`,
  graph: (g) => g.output('y', penalisedSample(penalisedOperands(g, columns))),
  values: penalisedValues(columns, o, change),
  bindings: changeBindings,
})

/** The same, published: a step after the first of so many rows, in a grid of its own or of another launch. */
const published = (rows: number, step: number, specs?: readonly KernelSpec[]): KernelCase => {
  const columns = 700
  const values = penalisedValues(columns, { temperature: 1.5, top_k: 30 }, 'all')
  const ofRows = Object.entries(values).map(([name, list]) =>
    name === 'history' ? [name, list] : [name, list.slice(0, (list.length / changeBindings.R) * rows)],
  )
  return {
    name: `penalised_publish R=${rows} step ${step}${specs ? ', in two blocks' : ''}`,
    graph: (g) => {
      const ring = g.state('ring', 'i32', [4, 'R', 2])
      const from = { ring, step: g.input('step', tensor('i32', [1])) }
      const results = penalisedPublish({ ...penalisedOperands(g, columns), ...from })
      for (const [name, value] of Object.entries(results)) g.output(name, value)
    },
    values: {
      ...Object.fromEntries(ofRows),
      positions: [20, 30, -2].slice(0, rows), // idle, but not what unwritten memory holds
      ring: Array.from({ length: 8 * rows }, (_, i) => -i),
      step: [step],
    },
    bindings: { ...changeBindings, R: rows },
    ...(specs ? { specs } : {}),
  }
}

export const sampleCases: readonly KernelCase[] = [
  largest('f32'),
  largest('bf16'),
  largest('f32', rowsOf(1)),
  largest('f32', rowsOf(2050)),
  draw('greedy', { temperature: 0 }),
  draw('temperature', { temperature: 0.7 }),
  draw('top_k', { top_k: 40 }),
  draw('top_p', { top_p: 0.9 }),
  draw('min_p', { min_p: 0.05, temperature: 1.5 }),
  draw('all', { top_k: 50, top_p: 0.8, min_p: 0.02, temperature: 0.8 }),
  draw('top_k 1', { top_k: 1 }),
  draw('top_p 0', { top_p: 0 }),
  draw('f16', { top_k: 20, top_p: 0.95 }, 'f16'),
  draw(
    'many seeds',
    { temperature: 1.2, top_p: 0.97 },
    'f32',
    Array.from({ length: 40 }, () => noise(9, 64, 4)),
  ),
  kLargest('f32', 1),
  kLargest('f32', 40),
  kLargest('bf16', 300),
  kLargest('f32', 33, 33),
  penalty('f32', 64),
  penalty('f16', 5),
  penalty('f32', -1),
  penalty('f32', 0),
  counted('f32', 500),
  counted('bf16', 1033),
  biased('f32', 256),
  biased('f16', 7),
  penalised(700, { temperature: 0 }, 'all'),
  penalised(700, { temperature: 0 }, 'none'),
  penalised(700, { temperature: 1.5 }, 'all'),
  penalised(700, { temperature: 0.9 }, 'repeat'),
  penalised(1200, { temperature: 1.2, top_k: 30, top_p: 0.95 }, 'all'),
  penalised(1200, { temperature: 1.2, top_k: 30, top_p: 0.95 }, 'none'),
  penalised(1200, { temperature: 5, top_k: 900 }, 'all'),
  penalised(1200, { temperature: 1, min_p: 0.01 }, 'all'),
  published(1, 0),
  published(3, 6),
  published(3, 2 ** 31 - 2, [inBlocks(2, penalisedPublishKernel)]),
]
