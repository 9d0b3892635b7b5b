// Qwen2 and Qwen2.5 (Yang et al., 2024): Llama's layer with a bias on q, k and v.
import { attentionResidual, gatedFeedForward, projectHeads } from './blocks.ts'
import { facts } from './facts.ts'
import type { Architecture } from './step.ts'

export const qwen2: Architecture = {
  ...facts.qwen2,
  layer(step, x, layer) {
    const h = step.norm(x, `blk.${layer}.attn_norm`) // [T, D]
    const attended = attentionResidual(step, x, projectHeads(step, h, layer), layer) // [T, D], biases as the checkpoint has them
    return gatedFeedForward(step, attended, layer) // [T, D]
  },
}
