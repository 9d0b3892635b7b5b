// Which elements of a head rotate together, and by what frequencies: the one place that knows.
//
// Rotary embedding turns C/2 pairs of a head's elements. Two conventions pair them up:
//   half-split   (i, i + dims/2)   Hugging Face's code, and ggml's "neox" rope
//   interleaved  (2i, 2i + 1)      the original Llama code, and ggml's "norm" rope
// Attention only sees q·k, so either gives the same model as long as the rows of Wq and Wk are in the matching order.
// Hugging Face checkpoints are always in half-split order. The converter that writes GGUF files of the llama
// architecture (Llama, Mistral, SmolLM2, TinyLlama: all are called `llama` there) permutes the rows of Wq and Wk, and
// their biases, into interleaved order; for Qwen and most younger architectures it leaves them alone. We do not permute
// back: quantised rows stay as they are, and the graph's rope op is told the style.
//
// Frequency i of `dims` rotated elements is theta^(-2i/dims) / freqFactors[i]. Llama 3 stretches low frequencies; a
// Hugging Face config gives the rule's parameters, a GGUF file the resulting divisors as tensor `rope_freqs.weight`.

export type RopeStyle = 'half-split' | 'interleaved'

export type RopeScaling =
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      /** tokens that the model was trained on before it was stretched */
      readonly originalContext: number
    }
  | { readonly kind: 'linear'; readonly factor: number }

/** Architectures whose Wq and Wk a GGUF converter permutes (ggml's LLAMA_ROPE_TYPE_NORM). */
const permutedInGguf = new Set([
  'llama',
  'mistral',
  'llama4',
  'mistral3',
  'baichuan',
  'internlm2',
  'deci',
  'granite',
  'minicpm',
  'smollm3',
])

export const ropeStyle = (format: 'gguf' | 'safetensors', architecture: string): RopeStyle =>
  format === 'gguf' && permutedInGguf.has(architecture) ? 'interleaved' : 'half-split'

/** The divisor of each of the dims/2 frequencies. Source of the llama3 rule: Meta's Llama 3.1 reference code. */
export function freqFactors(scaling: RopeScaling, theta: number, dims: number): Float32Array {
  const factors = new Float32Array(dims / 2).fill(scaling.factor)
  if (scaling.kind === 'linear') return factors
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling
  return factors.map((_, i) => {
    const wavelength = 2 * Math.PI * theta ** ((2 * i) / dims) // tokens per turn
    const turns = originalContext / wavelength
    if (turns > highFreqFactor) return 1
    if (turns < lowFreqFactor) return factor
    const smooth = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
    return 1 / ((1 - smooth) / factor + smooth)
  })
}
