// Softmax: known and unknown lengths, masked rows, a row of −∞, infinities and NaN.
import { scaleMaskSoftmax, softmax } from '../../../ir/ops/index.ts'
import { type FloatType, tensor } from '../../../ir/type.ts'
import { type KernelCase, noise } from '../kernel-harness.ts'

const plain = (x: FloatType, L: number, T: number, known: boolean, values = noise(1, T * L, 20)): KernelCase => ({
  name: `softmax ${x} L=${L}${known ? '' : ' unknown'} T=${T}`,
  graph: (g) => g.output('y', softmax({ x: g.input('x', tensor(x, ['T', known ? L : 'L'])) })),
  values: { x: values },
  bindings: { T, L },
})

const special = Float32Array.from({ length: 4 * 9 }, (_, i) => {
  if (i < 9) return Number.NEGATIVE_INFINITY
  if (i === 12) return Number.NaN
  if (i === 20) return Number.POSITIVE_INFINITY
  return i === 30 ? Number.NEGATIVE_INFINITY : 1e4 * Math.sin(i)
})

const masked = (x: FloatType, L: number, window?: number): KernelCase => ({
  name: `scale_mask_softmax ${x} L=${L} window ${window ?? 'none'}`,
  graph: (g) =>
    g.output(
      'y',
      scaleMaskSoftmax(
        { x: g.input('x', tensor(x, ['T', 3, 'L'])), positions: g.input('positions', tensor('i32', ['T'])) },
        { by: 0.3, window },
      ),
    ),
  values: { x: noise(2, 4 * 3 * L, 20), positions: [0, 5, L - 1, L >> 1] },
  bindings: { T: 4, L },
})

export const softmaxCases: readonly KernelCase[] = [
  plain('f32', 9, 4, false, special),
  plain('f16', 64, 3, true),
  plain('bf16', 1, 2, false),
  plain('f32', 3001, 2, false),
  plain('f32', 7, 0, true),
  masked('f32', 70),
  masked('f16', 41, 6),
]
