// Attribute schemas and type rules that several ops share.
import { z } from 'zod'
import { expect, expectFloat } from '../op.ts'
import { type Dim, type FloatType, printType, symbolPattern, type TensorType } from '../type.ts'

export const floatDtype = z.enum(['f32', 'f16', 'bf16']) satisfies z.ZodType<FloatType>
export const dim: z.ZodType<Dim> = z.union([
  z.int().nonnegative(),
  z.string().regex(symbolPattern).describe('a symbol'),
])
/** sliding window: a query sees this many positions back, itself included; absent = all */
export const window = z.int().positive().optional().describe('positions a query sees, itself included; absent: all')
export const ropeAttrs = z.strictObject({
  theta: z.number().positive().describe('base of the frequencies'),
  dims: z.int().positive().multipleOf(2).describe('channels that are rotated, from the first; the rest pass'),
  style: z.enum(['half-split', 'interleaved']).describe('pairs are (i, i + dims/2), or (2i, 2i + 1)'),
  magnitude: z.number().positive().optional().describe('factor of cosine and sine (YaRN); absent: 1'),
})
export type RopeAttrs = z.output<typeof ropeAttrs>

/** y has x's type, x is a float tensor. */
export function sameAsX({ x }: { x: TensorType }): TensorType {
  expectFloat('x', x)
  return x
}

/** b has a's shape, or the shape of a's last dims (it is then repeated over the first ones). */
export function broadcastType({ a, b }: { a: TensorType; b: TensorType }): TensorType {
  expectFloat('a', a)
  expectFloat('b', b)
  const tail = a.shape.slice(a.shape.length - b.shape.length)
  const fits = b.shape.length <= a.shape.length && b.shape.every((d, i) => d === tail[i])
  expect(fits, `b must have the shape of a or of its last dims: a is ${printType(a)}, b is ${printType(b)}`)
  return a
}
