// The bundled story model's tokenizer, both ways in.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { packageRoot } from '../../../ir/package-root.ts'
import { createTokenizer } from '../../../src/tokenizer/create-tokenizer.ts'
import type { GgufTokenizerSource, HuggingFaceTokenizerSource } from '../../../src/tokenizer/source.ts'

const model = (name: string, file: string) => join(packageRoot(), 'models', name, file)

export const storyFolder = (name: string): HuggingFaceTokenizerSource => ({
  kind: 'huggingface',
  tokenizerJson: model(name, 'tokenizer.json'),
  tokenizerConfig: model(name, 'tokenizer_config.json'),
})

/** What a GGUF file of the same model holds. */
export function storyGguf(name: string): GgufTokenizerSource {
  const file = JSON.parse(readFileSync(model(name, 'tokenizer.json'), 'utf8'))
  const tokens: string[] = []
  for (const [piece, id] of Object.entries<number>(file.model.vocab)) tokens[id] = piece
  const tokenTypes = new Int32Array(tokens.length).fill(1)
  for (const { id } of file.added_tokens) tokenTypes[id] = 3
  const merges = file.model.merges.map((merge: string[]) => merge.join(' '))
  return { kind: 'gguf', model: 'gpt2', pre: 'gpt-2', tokens, tokenTypes, merges, bos: 1, eos: 2, unk: 0, addBos: true }
}

export const story = createTokenizer(storyFolder('story-3m'))
export const storyFromGguf = createTokenizer(storyGguf('story-3m'))

interface Reference {
  readonly models: Record<string, { prompt: string; prompt_ids: number[]; token_ids: number[] }[]>
}
export const reference: Reference = JSON.parse(readFileSync(join(packageRoot(), 'models', 'reference.json'), 'utf8'))
