// Logits: the largest, the k largest, penalties, draws with every option, on flat, steep, tied and broken rows.
import { argmax, repeatPenalty, sample, topk } from '../../../ir/ops/index.ts'
import { type FloatType, tensor } from '../../../ir/type.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

const V = 1003
const none = Number.NEGATIVE_INFINITY
/** flat · steep · ties · NaN and infinities · −∞ alone · one finite */
const rows = [
  noise(1, V, 3),
  noise(2, V, 30),
  noise(3, V, 4).map(Math.round),
  noise(4, V, 5).map((v, i) => (i % 7 === 0 ? Number.NaN : i % 11 === 0 ? none : v)),
  new Float32Array(V).fill(none),
  new Float32Array(V).fill(none).map((v, i) => (i === 700 ? -4 : v)),
  noise(6, V, 2).map((v, i) => (i === 300 || i === 200 ? Number.POSITIVE_INFINITY : v)),
]
const logits = Float32Array.from(rows.flatMap((row) => [...row]))
const R = rows.length

interface Options {
  readonly temperature?: number
  readonly top_k?: number
  readonly top_p?: number
  readonly min_p?: number
}

const draw = (
  name: string,
  o: Options,
  x: FloatType = 'f32',
  [values, count, columns] = [logits, R, V] as [Float32Array, number, number],
): KernelCase => ({
  name: `sample ${name}`,
  graph: (g) => {
    const f32 = (input: string) => g.input(input, tensor('f32', ['R']))
    const i32 = (input: string) => g.input(input, tensor('i32', ['R']))
    g.output(
      'y',
      sample({
        logits: g.input('logits', tensor(x, ['R', columns])),
        temperature: f32('temperature'),
        top_k: i32('top_k'),
        top_p: f32('top_p'),
        min_p: f32('min_p'),
        seed: g.input('seed', tensor('u32', ['R'])),
        positions: i32('positions'),
      }),
    )
  },
  values: {
    logits: values,
    temperature: new Array(count).fill(o.temperature ?? 1),
    top_k: new Array(count).fill(o.top_k ?? 0),
    top_p: new Array(count).fill(o.top_p ?? 1),
    min_p: new Array(count).fill(o.min_p ?? 0),
    seed: Array.from({ length: count }, (_, i) => (i * 2654435761) >>> 0),
    positions: Array.from({ length: count }, (_, i) => i * 37),
  },
  bindings: { R: count },
})

/** Many draws from one row: each with another seed. */
const many: [Float32Array, number, number] = [
  Float32Array.from(Array.from({ length: 40 }, () => [...noise(9, 64, 4)]).flat()),
  40,
  64,
]

const largest = (x: FloatType): KernelCase => ({
  name: `argmax ${x}`,
  graph: (g) => g.output('y', argmax({ x: g.input('x', tensor(x, ['R', V])) })),
  values: { x: logits },
  bindings: { R },
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

const penalty = (x: FloatType, window: number): KernelCase => ({
  name: `repeat_penalty ${x} window ${window}`,
  graph: (g) =>
    g.output(
      'y',
      repeatPenalty(
        {
          logits: g.input('logits', tensor(x, ['R', 500])),
          history: g.state('history', 'i32', ['P', 1, 8, 1]),
          positions: g.input('positions', tensor('i32', ['R'])),
          page_table: g.input('page_table', tensor('i32', ['R', 'M'])),
          penalty: g.input('penalty', tensor('f32', ['R'])),
        },
        { window },
      ),
    ),
  values: {
    logits: noise(7, 2 * 500, 5),
    history: Array.from({ length: 5 * 8 }, (_, i) => (i * i) % 500),
    positions: [20, 3],
    page_table: [4, 0, 2, 1, -1, -1],
    penalty: [1.3, 2],
  },
  bindings: { R: 2, P: 5, M: 3 },
})

export const sampleCases: readonly KernelCase[] = [
  largest('f32'),
  largest('bf16'),
  draw('greedy', { temperature: 0 }),
  draw('temperature', { temperature: 0.7 }),
  draw('top_k', { top_k: 40 }),
  draw('top_p', { top_p: 0.9 }),
  draw('min_p', { min_p: 0.05, temperature: 1.5 }),
  draw('all', { top_k: 50, top_p: 0.8, min_p: 0.02, temperature: 0.8 }),
  draw('top_k 1', { top_k: 1 }),
  draw('top_p 0', { top_p: 0 }),
  draw('f16', { top_k: 20, top_p: 0.95 }, 'f16'),
  draw('many seeds', { temperature: 1.2, top_p: 0.97 }, 'f32', many),
  kLargest('f32', 1),
  kLargest('f32', 40),
  kLargest('bf16', 300),
  kLargest('f32', 33, 33),
  penalty('f32', 64),
  penalty('f16', 5),
]
