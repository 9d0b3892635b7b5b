// One vocabulary of weight names. The short names of GGUF are canonical; this table turns the names of Hugging Face
// checkpoints into them. A name that it does not know stays as it is.

/** Hugging Face module (of the whole model) → short name. */
const wholeModel: Record<string, string> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
}

/** Hugging Face module (inside `model.layers.N.`) → short name (inside `blk.N.`). */
const perLayer: Record<string, string> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  post_attention_layernorm: 'ffn_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
}

/** `model.layers.3.self_attn.q_proj.bias` → `blk.3.attn_q.bias`. */
export function canonicalName(huggingFaceName: string): string {
  const parts = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(huggingFaceName)
  if (!parts) return huggingFaceName
  const [, layer, module, kind] = parts as unknown as [string, string | undefined, string, string]
  const table = layer === undefined ? wholeModel : perLayer
  if (!Object.hasOwn(table, module)) return huggingFaceName
  return layer === undefined ? `${table[module]}.${kind}` : `blk.${Number(layer)}.${table[module]}.${kind}`
}

/** What stands before the names of the base model, most usual first: nothing where the base model was saved by itself. */
const usualPrefixes = ['model.', '', 'language_model.model.', 'model.language_model.', 'transformer.', 'module.model.']

/**
 * The prefix of the base model in a checkpoint: `model.` of `model.embed_tokens.weight`. Wrappers put others there, and a model
 * that was saved without its head has none. Undefined where no name, or more than one that is not usual, tells.
 */
export function basePrefix(names: Iterable<string>): string | undefined {
  const ending = 'embed_tokens.weight'
  const found = new Set<string>()
  for (const name of names) {
    if (name === ending || name.endsWith(`.${ending}`)) found.add(name.slice(0, -ending.length))
  }
  return usualPrefixes.find((prefix) => found.has(prefix)) ?? (found.size === 1 ? [...found][0] : undefined)
}

/** A name of a checkpoint with this prefix as transformers has it: `layers.0.…` → `model.layers.0.…`. */
export function withUsualPrefix(name: string, prefix: string): string {
  if (prefix === 'model.') return name
  // the head stands beside the base model, or where that is
  const head = /^(.*\.)?lm_head\.(?:weight|bias)$/.exec(name)
  if (head && prefix.startsWith(head[1] ?? '')) return name.slice(head[1]?.length ?? 0)
  return name.startsWith(prefix) ? `model.${name.slice(prefix.length)}` : name
}

const backWhole = Object.fromEntries(Object.entries(wholeModel).map(([long, short]) => [short, long]))
const backLayer = Object.fromEntries(Object.entries(perLayer).map(([long, short]) => [short, long]))

/** The inverse of `canonicalName`: `blk.3.attn_q.bias` → `model.layers.3.self_attn.q_proj.bias`. */
export function huggingFaceName(canonical: string): string {
  const parts = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(canonical)
  if (!parts) return canonical
  const [, layer, module, kind] = parts as unknown as [string, string | undefined, string, string]
  const table = layer === undefined ? backWhole : backLayer
  if (!Object.hasOwn(table, module)) return canonical
  return layer === undefined ? `${table[module]}.${kind}` : `model.layers.${layer}.${table[module]}.${kind}`
}
