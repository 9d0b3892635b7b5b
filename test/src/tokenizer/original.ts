// The original tokenizers library, in Rust with bindings for Node: what tokenizer.json files are written for. Tests compare
// with it; the product does without.
import { createRequire } from 'node:module'

interface Original {
  encode(
    text: string,
    pair: null,
    options: { addSpecialTokens: boolean },
  ): Promise<{ getIds(): number[]; getTokens(): string[] }>
  decode(ids: number[], skipSpecialTokens: boolean): Promise<string>
  getNormalizer(): { normalizeString(text: string): string }
}

export const original: { readonly Tokenizer: { fromString(json: string): Original } } = createRequire(import.meta.url)(
  'tokenizers',
)
