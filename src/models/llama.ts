// Llama (Touvron et al., 2023; Llama 3: Grattafiori et al., 2024) and the models of its shape: Mistral (Jiang et al., 2023, with
// a sliding window), TinyLlama, SmolLM2.
import { attentionResidual, gatedFeedForward, projectHeads } from './blocks.ts'
import { facts } from './facts.ts'
import type { Architecture } from './step.ts'

export const llama: Architecture = {
  ...facts.llama,
  layer(step, x, layer) {
    const h = step.norm(x, `blk.${layer}.attn_norm`) // [T, D]
    const attended = attentionResidual(step, x, projectHeads(step, h, layer), layer) // [T, D]
    return gatedFeedForward(step, attended, layer) // [T, D]
  },
}
