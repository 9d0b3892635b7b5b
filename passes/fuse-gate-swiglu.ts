import { match, P } from 'ts-pattern'
import { concatRows, matmulSwiglu } from '../ir/ops/index.ts'
import { canMerge } from './merge-matmuls.ts'
import { scopeOf } from './merge-qkv.ts'
import { rewritePass } from './rewrite.ts'

/** A product that nothing else reads, without a bias. */
const product = { op: 'matmul', uses: 1, in: { x: P.any, w: P.any, bias: P.optional(undefined) } } as const

/** swiglu(matmul(x, gate), matmul(x, up))  ⇒  matmul_swiglu(x, concat_rows(gate, up)) */
export const fuseGateSwiglu = rewritePass({
  name: 'fuse-gate-swiglu',
  doc: 'Saves two kernels a layer, and two writes and reads of a [T, F] activation.',
  numerics: 'rounding', // gate and up are no longer rounded to their dtype
  root: 'swiglu',
  rule: (swiglu) =>
    match(swiglu.in)
      .with({ gate: P.select('gate', product), up: P.select('up', product) }, ({ gate, up }) => {
        const { x, w } = gate.in
        const sameInput = x.id === up.in.x.id && gate.id !== up.id
        const sameRows = String(w.type.shape) === String(up.in.w.type.shape)
        if (!sameInput || !sameRows || gate.type.dtype !== x.type.dtype || !canMerge([gate, up])) return null
        const label = scopeOf(gate, 'ffn_gate_up')
        return matmulSwiglu({ x, w: concatRows({ a: w, b: up.in.w }, {}, label) }, {}, label)
      })
      .otherwise(() => null),
})
