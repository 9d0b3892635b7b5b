// The one way to get a tokenizer, from whatever a loader found.
import { createGgufTokenizer } from './gguf.ts'
import { createHuggingFaceTokenizer } from './hugging-face/tokenizer.ts'
import type { TokenizerSource } from './source.ts'
import type { Tokenizer } from './tokenizer.ts'

/**
 * Builds the tokenizer that `source` describes.
 * Throws a Diagnostic for a damaged file (`bad-tokenizer`), a kind that is not known (`unsupported-tokenizer`) or an
 * unknown name in `tokenizer.ggml.pre` (`unknown-pre-tokenizer`).
 */
export function createTokenizer(source: TokenizerSource): Tokenizer {
  return source.kind === 'gguf' ? createGgufTokenizer(source) : createHuggingFaceTokenizer(source)
}
