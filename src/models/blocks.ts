// The two halves of a layer that the Llama family shares.
import { add, mul, silu } from '../../ir/ops/index.ts'
import type { Value } from '../../ir/value.ts'
import type { Step } from './step.ts'

/** q, k, v projections of the normed residual h [T, D]: [T, H, C] and twice [T, Hkv, C]. */
export function projectHeads(step: Step, h: Value, layer: number): { q: Value; k: Value; v: Value } {
  const { heads, kvHeads, headDim } = step.config
  return {
    q: step.heads(step.linear(h, `blk.${layer}.attn_q`, heads * headDim), heads), // [T, H, C]
    k: step.heads(step.linear(h, `blk.${layer}.attn_k`, kvHeads * headDim), kvHeads), // [T, Hkv, C]
    v: step.heads(step.linear(h, `blk.${layer}.attn_v`, kvHeads * headDim), kvHeads), // [T, Hkv, C]
  }
}

/** x + W_o · attention(rotated q, rotated k, v) */
export function attentionResidual(
  step: Step,
  x: Value,
  { q, k, v }: { q: Value; k: Value; v: Value },
  layer: number,
): Value {
  const mixed = step.attend(step.rotate(q, 'attn_q_rope'), step.rotate(k, 'attn_k_rope'), v, layer) // [T, H·C]
  return add({ a: x, b: step.linear(mixed, `blk.${layer}.attn_output`, step.config.hidden) }, {}, 'attn_residual') // [T, D]
}

/** x + W_down · (silu(W_gate · h) ∘ (W_up · h)), h = rms_norm(x): Shazeer, GLU Variants Improve Transformer, 2020. */
export function gatedFeedForward(step: Step, x: Value, layer: number): Value {
  const { ffn, hidden } = step.config
  const h = step.norm(x, `blk.${layer}.ffn_norm`) // [T, D]
  const gate = step.linear(h, `blk.${layer}.ffn_gate`, ffn) // [T, F]
  const up = step.linear(h, `blk.${layer}.ffn_up`, ffn) // [T, F]
  const inner = mul({ a: silu({ x: gate }, {}, 'ffn_silu'), b: up }, {}, 'ffn_mul') // [T, F]
  return add({ a: x, b: step.linear(inner, `blk.${layer}.ffn_down`, hidden) }, {}, 'ffn_residual') // [T, D]
}
