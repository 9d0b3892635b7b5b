// Norms: every dtype, odd and aligned rows, views, one row, none, infinities and NaN.
import { addRmsNorm, layerNorm, rmsNorm, slice } from '../../../ir/ops/index.ts'
import { type FloatType, tensor } from '../../../ir/type.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

const norm = (
  op: 'rms' | 'layer',
  x: FloatType,
  w: FloatType,
  D: number,
  T: number,
  values?: ArrayLike<number>,
): KernelCase => ({
  name: `${op}_norm ${x}[${T}, ${D}] w ${w}`,
  graph: (g) => {
    const input = g.input('x', tensor(x, ['T', D]))
    const scale = g.weight('w', w, [D])
    const y =
      op === 'rms'
        ? rmsNorm({ x: input, w: scale }, { eps: 1e-5 })
        : layerNorm({ x: input, w: scale, bias: D % 2 ? g.weight('bias', w, [D]) : undefined }, { eps: 1e-5 })
    g.output('y', y)
  },
  values: { x: values ?? noise(1, T * D, 2), w: noise(2, D), bias: noise(3, D) },
  bindings: { T },
})

const special = Float32Array.from({ length: 3 * 64 }, (_, i) =>
  i === 5 ? Number.POSITIVE_INFINITY : i === 70 ? Number.NaN : i >= 128 ? 1e15 * Math.sin(i) : i / 100,
)

export const normCases: readonly KernelCase[] = [
  norm('rms', 'f32', 'f32', 64, 3, special),
  norm('rms', 'f16', 'f32', 1, 17),
  norm('rms', 'bf16', 'bf16', 4096, 2),
  norm('rms', 'f32', 'f16', 513, 1),
  norm('rms', 'f32', 'f32', 64, 0),
  norm('layer', 'f32', 'f32', 37, 3),
  norm('layer', 'bf16', 'f16', 768, 2),
  norm('layer', 'f16', 'f32', 1, 2),
  {
    name: 'rms_norm of a slice',
    graph: (g) => {
      const x = slice({ x: g.input('x', tensor('f16', ['T', 96])) }, { from: 32, to: 96 })
      g.output('y', rmsNorm({ x, w: g.weight('w', 'f16', [64]) }, { eps: 1e-6 }))
    },
    values: { x: noise(4, 5 * 96), w: noise(5, 64) },
    bindings: { T: 5 },
  },
  {
    name: 'rms_norm of heads',
    graph: (g) =>
      g.output(
        'y',
        rmsNorm({ x: g.input('x', tensor('f32', ['T', 3, 32])), w: g.weight('w', 'f32', [32]) }, { eps: 1e-6 }),
      ),
    values: { x: noise(6, 4 * 96), w: noise(7, 32) },
    bindings: { T: 4 },
  },
  ...(['f32', 'f16', 'bf16'] as const).map(
    (dtype, i): KernelCase => ({
      name: `add_rms_norm ${dtype}`,
      graph: (g) => {
        const D = [512, 70, 4096][i]!
        const { sum, y } = addRmsNorm(
          {
            a: g.input('a', tensor(dtype, ['T', D])),
            b: g.input('b', tensor('f32', ['T', D])),
            w: g.weight('w', 'f32', [D]),
          },
          { eps: 1e-5 },
        )
        g.output('sum', sum)
        g.output('y', y)
      },
      values: {
        a: noise(8, 3 * [512, 70, 4096][i]!),
        b: noise(9, 3 * [512, 70, 4096][i]!),
        w: noise(10, [512, 70, 4096][i]!),
      },
      bindings: { T: 3 },
    }),
  ),
]
