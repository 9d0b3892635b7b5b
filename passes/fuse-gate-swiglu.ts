import { concatRows, matmulSwiglu } from '../ir/ops/index.ts'
import { canMerge } from './merge-matmuls.ts'
import { scopeOf } from './merge-qkv.ts'
import { rewritePass } from './rewrite.ts'

/** swiglu(matmul(x, gate), matmul(x, up))  ⇒  matmul_swiglu(x, concat_rows(gate, up)) */
export const fuseGateSwiglu = rewritePass({
  name: 'fuse-gate-swiglu',
  doc: 'Saves two kernels a layer, and two writes and reads of a [T, F] activation.',
  numerics: 'rounding', // gate and up are no longer rounded to their dtype
  root: 'swiglu',
  rule(swiglu) {
    const { gate, up } = swiglu.in
    if (gate!.op !== 'matmul' || up!.op !== 'matmul' || gate!.uses !== 1 || up!.uses !== 1) return null
    const sameInput = gate!.in.x!.id === up!.in.x!.id && gate!.id !== up!.id
    const sameRows = String(gate!.in.w!.type.shape) === String(up!.in.w!.type.shape)
    const plain =
      gate!.in.bias === undefined && up!.in.bias === undefined && gate!.type.dtype === gate!.in.x!.type.dtype
    if (!sameInput || !sameRows || !plain || !canMerge([gate!, up!])) return null
    const w = concatRows({ a: gate!.in.w!, b: up!.in.w! }, {}, scopeOf(gate!, 'ffn_gate_up'))
    return matmulSwiglu({ x: gate!.in.x!, w }, {}, scopeOf(gate!, 'ffn_gate_up'))
  },
})
