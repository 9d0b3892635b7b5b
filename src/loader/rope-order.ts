// Which elements of a head rotate together: the one place that knows.
//
// Rotary embedding turns C/2 pairs of a head's elements. Two conventions pair them up:
//   half-split   (i, i + dims/2)   Hugging Face's code, and ggml's "neox" rope
//   interleaved  (2i, 2i + 1)      the original Llama code, and ggml's "norm" rope
// Attention only sees q·k, so either gives the same model as long as the rows of Wq and Wk are in the matching order.
// Hugging Face checkpoints are always in half-split order. The converter that writes GGUF files of the llama
// architecture (Llama, Mistral, SmolLM2, TinyLlama: all are called `llama` there) permutes the rows of Wq and Wk, and
// their biases, into interleaved order; for Qwen and most younger architectures it leaves them alone. We do not permute
// back: quantised rows stay as they are, and the graph's rope op is told the style.
import { factsOf } from '../models/facts.ts'

export type RopeStyle = 'half-split' | 'interleaved'

export const ropeStyle = (format: 'gguf' | 'safetensors', architecture: string): RopeStyle =>
  format === 'gguf' && factsOf(architecture).permutedInGguf ? 'interleaved' : 'half-split'
