import { z } from 'zod'
import { mapElements } from '../../host-tensor.ts'
import { defineOp } from '../../op.ts'
import { sameAsX } from '../attributes.ts'

/** Hendrycks and Gimpel, Gaussian Error Linear Units, 2016; `tanh` is their approximation. */
export const gelu = defineOp('gelu', {
  doc: 'y = x · Φ(x), Φ the normal distribution; or x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))',
  operands: { x: 'float[…]' },
  attrs: z.strictObject({ approximate: z.enum(['none', 'tanh']).default('none') }),
  traits: ['elementwise'],
  infer: sameAsX,
  reference: ({ x }, { approximate }, context) =>
    mapElements(
      x,
      context,
      approximate === 'none'
        ? (v) => v * normalCdf(v)
        : (v) => 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3))),
    ),
})

/** Φ(x) to about 1e-15: the Taylor series near 0, the continued fraction of erfc in the tails. */
function normalCdf(x: number): number {
  if (Number.isNaN(x)) return x
  const z = Math.abs(x) / Math.SQRT2
  if (z > 27) return x > 0 ? 1 : 0
  if (z < 2.5) {
    let [term, sum] = [z, z]
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-z * z) / n
      const next = sum + term / (2 * n + 1)
      if (next === sum) break
      sum = next
    }
    return 0.5 * (1 + (Math.sign(x) * 2 * sum) / Math.sqrt(Math.PI))
  }
  let fraction = z
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction
  const tail = (0.5 * Math.exp(-z * z)) / (Math.sqrt(Math.PI) * fraction)
  return x > 0 ? 1 - tail : tail
}
