// What files do not say of an architecture and everyone must know, by the names that files use. Plain data, for loaders too.

export interface ArchitectureFacts {
  /** as files name it */
  readonly names: readonly string[]
  /** projections of q, k and v add a bias, whatever the configuration says */
  readonly qkvBias: boolean
  /** heads of q and k are normed before they are rotated */
  readonly qkNorm: boolean
  /** the converter to GGUF permutes the rows of Wq and Wk (ggml's LLAMA_ROPE_TYPE_NORM) */
  readonly permutedInGguf: boolean
}

export const facts = {
  llama: { names: ['llama', 'mistral'], qkvBias: false, qkNorm: false, permutedInGguf: true },
  qwen2: { names: ['qwen2'], qkvBias: true, qkNorm: false, permutedInGguf: false },
  qwen3: { names: ['qwen3'], qkvBias: false, qkNorm: true, permutedInGguf: false },
} as const satisfies Record<string, ArchitectureFacts>

const unknown: ArchitectureFacts = { names: [], qkvBias: false, qkNorm: false, permutedInGguf: false }

/** Facts of an architecture; of one that is not known, none. */
export const factsOf = (architecture: string): ArchitectureFacts =>
  Object.values<ArchitectureFacts>(facts).find(({ names }) => names.includes(architecture)) ?? unknown
