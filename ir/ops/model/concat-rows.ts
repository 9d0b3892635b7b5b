import { storage } from '../../host-tensor.ts'
import { defineOp, dimAt, expect, expectRank, staticDim } from '../../op.ts'
import { printType, tensor } from '../../type.ts'

/** Evaluated when weights are loaded: the parts are concatenated, no byte is moved afterwards. */
export const concatRows = defineOp('concat_rows', {
  doc: 'the rows of a, then of b, then of c, as one weight',
  operands: { a: 'any[N, …] weight', b: 'any[N2, …] weight of the same dtype' },
  optional: { c: 'any[N3, …] weight of the same dtype' },
  traits: ['load'],
  infer({ a, b, c }) {
    const parts = c ? [a, b, c] : [a, b]
    dimAt(a, 0)
    for (const [i, part] of parts.entries()) {
      expectRank('abc'[i]!, part, a.shape.length)
      const fits = part.dtype === a.dtype && part.shape.slice(1).every((d, j) => d === a.shape[j + 1])
      expect(fits, `parts must agree but for their rows: ${parts.map(printType).join(', ')}`)
    }
    return tensor(a.dtype, [
      parts.reduce((rows, part) => rows + staticDim(part, 0), 0),
      ...a.shape.slice(1).map((_, i) => dimAt(a, i + 1)),
    ])
  },
  reference({ a, b, c }) {
    const parts = c ? [a, b, c] : [a, b]
    const data = storage(
      a.dtype,
      parts.reduce((n, part) => n + part.data.length, 0),
      a.data instanceof Float64Array,
    )
    let at = 0
    for (const part of parts) {
      data.set(part.data, at)
      at += part.data.length
    }
    return { dtype: a.dtype, shape: [parts.reduce((n, part) => n + part.shape[0]!, 0), ...a.shape.slice(1)], data }
  },
})
