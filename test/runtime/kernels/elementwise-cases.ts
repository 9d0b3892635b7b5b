// Elementwise kernels: every function and dtype; tails, views, repeated operands, infinities, NaN and large values.
import {
  add,
  causalMask,
  gelu,
  increment,
  mul,
  scale,
  sigmoid,
  silu,
  slice,
  softcap,
  swiglu,
  tanh,
} from '../../../ir/ops/index.ts'
import { type Dim, type FloatType, tensor } from '../../../ir/type.ts'
import type { Value } from '../../../ir/value.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

/** A sweep over ±30, then what is special. */
const sweep = Float32Array.from({ length: 611 }, (_, i) =>
  i < 601
    ? (i - 300) / 10
    : [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 0, -0, 1e4, -1e4, 6e4, 1e-6, -3e-5][i - 601]!,
)

const functions: Record<string, (x: Value) => Value> = {
  scale: (x) => scale({ x }, { by: -0.37 }),
  silu: (x) => silu({ x }),
  sigmoid: (x) => sigmoid({ x }),
  tanh: (x) => tanh({ x }),
  softcap: (x) => softcap({ x }, { cap: 30 }),
  gelu: (x) => gelu({ x }),
  'gelu tanh': (x) => gelu({ x }, { approximate: 'tanh' }),
}

const unary = (name: string, dtype: FloatType): KernelCase => ({
  name: `${name} ${dtype}`,
  graph: (g) => g.output('y', functions[name]!(g.input('x', tensor(dtype, ['T', 13])))),
  values: { x: sweep },
  bindings: { T: 47 },
})

const binary = (
  name: string,
  op: typeof add,
  a: FloatType,
  b: FloatType,
  shapes: [readonly Dim[], readonly Dim[]],
  T: number,
): KernelCase => {
  const count = (shape: readonly Dim[]) => shape.reduce<number>((n, d) => n * (typeof d === 'number' ? d : T), 1)
  return {
    name: `${name} ${a}[${shapes[0].join()}] ${b}[${shapes[1].join()}] T=${T}`,
    graph: (g) => g.output('y', op({ a: g.input('a', tensor(a, shapes[0])), b: g.input('b', tensor(b, shapes[1])) })),
    values: { a: noise(1, count(shapes[0]), 9), b: noise(2, count(shapes[1]), 9) },
    bindings: { T },
  }
}

const sliced = (x: Value, from: number, to: number) => slice({ x }, { from, to })

export const elementwiseCases: readonly KernelCase[] = [
  ...Object.keys(functions).flatMap((name, i) =>
    i < 2 || name.startsWith('gelu')
      ? (['f32', 'f16', 'bf16'] as const).map((dtype) => unary(name, dtype))
      : [unary(name, (['f32', 'f16', 'bf16'] as const)[i % 3]!)],
  ),
  {
    name: 'silu of a slice',
    graph: (g) => g.output('y', silu({ x: sliced(g.input('x', tensor('f32', ['T', 50])), 7, 40) })),
    values: { x: noise(3, 5 * 50, 5) },
    bindings: { T: 5 },
  },
  binary(
    'add',
    add,
    'f32',
    'f32',
    [
      ['T', 40],
      ['T', 40],
    ],
    3,
  ),
  binary('add', add, 'f16', 'f32', [['T', 4, 9], [9]], 5),
  binary('add', add, 'bf16', 'bf16', [['T', 64], [64]], 17),
  binary(
    'mul',
    mul,
    'f32',
    'f16',
    [
      ['T', 1],
      ['T', 1],
    ],
    1,
  ),
  binary(
    'mul',
    mul,
    'bf16',
    'f32',
    [
      ['T', 3000],
      ['T', 3000],
    ],
    2,
  ),
  binary(
    'mul',
    mul,
    'f16',
    'f16',
    [
      [2, 'T', 8],
      ['T', 8],
    ],
    3,
  ),
  binary(
    'mul',
    mul,
    'f32',
    'f32',
    [
      ['T', 8],
      ['T', 8],
    ],
    0,
  ),
  {
    name: 'mul of slices',
    graph: (g) => {
      const x = g.input('x', tensor('f16', ['T', 64]))
      g.output('y', mul({ a: sliced(x, 0, 32), b: sliced(x, 32, 64) }))
    },
    values: { x: noise(4, 3 * 64, 5) },
    bindings: { T: 3 },
  },
  ...(['f32', 'f16', 'bf16'] as const).map(
    (dtype, i): KernelCase => ({
      name: `swiglu ${dtype}`,
      graph: (g) => {
        const x = g.input('x', tensor(dtype, ['T', 96]))
        const [gate, up] = i ? [sliced(x, 0, 48), sliced(x, 48, 96)] : [x, g.input('up', tensor('f32', ['T', 96]))]
        g.output('y', swiglu({ gate, up }))
      },
      values: { x: noise(5, 7 * 96, 8), up: noise(6, 7 * 96, 8) },
      bindings: { T: 7 },
    }),
  ),
  {
    name: 'increment',
    graph: (g) => g.output('y', increment({ x: g.input('x', tensor('i32', ['R'])) }, { by: 3 })),
    values: { x: Array.from({ length: 1500 }, (_, i) => i * 1000) },
    bindings: { R: 1500 },
  },
  ...[undefined, 3].map(
    (window, i): KernelCase => ({
      name: `causal_mask window ${window ?? 'none'}`,
      graph: (g) =>
        g.output(
          'y',
          causalMask(
            {
              x: g.input('x', tensor(i ? 'f16' : 'f32', ['T', 2, 'L'])),
              positions: g.input('positions', tensor('i32', ['T'])),
            },
            { window },
          ),
        ),
      values: { x: noise(7, 4 * 2 * 11), positions: [0, 3, 10, 7] },
      bindings: { T: 4, L: 11 },
    }),
  ),
]
