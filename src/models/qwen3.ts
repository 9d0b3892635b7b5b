// Qwen3 (Yang et al., 2025): Llama's layer with q and k normed over each head before they are rotated, and no biases.
import { attentionResidual, gatedFeedForward, projectHeads } from './blocks.ts'
import { facts } from './facts.ts'
import type { Architecture } from './step.ts'

export const qwen3: Architecture = {
  ...facts.qwen3,
  layer(step, x, layer) {
    const h = step.norm(x, `blk.${layer}.attn_norm`) // [T, D]
    const { q, k, v } = projectHeads(step, h, layer)
    const normed = { q: step.norm(q, `blk.${layer}.attn_q_norm`), k: step.norm(k, `blk.${layer}.attn_k_norm`), v }
    const attended = attentionResidual(step, x, normed, layer) // [T, D]
    return gatedFeedForward(step, attended, layer) // [T, D]
  },
}
