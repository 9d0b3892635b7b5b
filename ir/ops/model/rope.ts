import type { HostTensor, ReferenceContext } from '../../host-tensor.ts'
import { defineOp, expect, expectDtype, expectFloat, expectIndices, expectRank, sameDim, staticDim } from '../../op.ts'
import { type RopeAttrs, ropeAttrs } from '../attributes.ts'

/** Su et al., RoFormer, 2021. Scaled frequencies (Llama 3, YaRN) arrive as `factors`: pair i turns by its angle / factors[i]. */
export const rope = defineOp('rope', {
  doc: 'rotates channel pair i of x[t,h,:] by positions[t] · theta^(−2i/dims) / factors[i], and stretches it by magnitude',
  operands: { x: 'float[T, H, C] queries or keys', positions: 'i32[T] position of each token in its request' },
  optional: { factors: 'f32[dims/2] divisors of the frequencies' },
  attrs: ropeAttrs,
  infer({ x, positions, factors }, { dims }) {
    expectFloat('x', x)
    expectRank('x', x, 3)
    expectIndices('positions', positions)
    sameDim('T', [x, 0], [positions, 0])
    expect(dims <= staticDim(x, 2), `dims (${dims}) must not exceed the head size (${staticDim(x, 2)})`)
    if (factors) {
      expectDtype('factors', factors, 'f32')
      expectRank('factors', factors, 1)
      expect(
        staticDim(factors, 0) === dims / 2,
        `factors must have dims/2 = ${dims / 2} values, has ${factors.shape[0]}`,
      )
    }
    return x
  },
  reference: ({ x, positions, factors }, attrs, context) => rotate(x, positions, factors, attrs, context),
})

function rotate(
  x: HostTensor,
  positions: HostTensor,
  factors: HostTensor | undefined,
  attrs: RopeAttrs,
  context: ReferenceContext,
): HostTensor {
  const { theta, dims, style, magnitude = 1 } = attrs
  const [T, H, C] = [x.shape[0]!, x.shape[1]!, x.shape[2]!]
  const data = context.floats(x.data.length)
  data.set(x.data)
  const half = dims / 2
  for (let t = 0; t < T; t++) {
    for (let i = 0; i < half; i++) {
      const angle = (positions.data[t]! * theta ** ((-2 * i) / dims)) / (factors?.data[i] ?? 1)
      const [cos, sin] = [magnitude * Math.cos(angle), magnitude * Math.sin(angle)]
      const [first, second] = style === 'half-split' ? [i, i + half] : [2 * i, 2 * i + 1]
      for (let h = 0; h < H; h++) {
        const at = (t * H + h) * C
        const [a, b] = [x.data[at + first]!, x.data[at + second]!]
        data[at + first] = a * cos - b * sin
        data[at + second] = a * sin + b * cos
      }
    }
  }
  return { ...x, data }
}
