// The chat template that a model's files hold, known before the tokenizer is made.
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { TokenizerSource } from './source.ts'

const namedTemplates = z.array(z.looseObject({ name: z.string(), template: z.string() }))
const settings = z.looseObject({ chat_template: z.union([z.string(), namedTemplates]).nullish() })

/** Jinja source, where there is one. A damaged tokenizer_config.json has none: making the tokenizer says what is wrong. */
export function chatTemplateIn(source: TokenizerSource): string | undefined {
  if (source.chatTemplate || source.kind === 'gguf' || !source.tokenizerConfig) return source.chatTemplate || undefined
  let json: unknown
  try {
    json = JSON.parse(readFileSync(source.tokenizerConfig, 'utf8'))
  } catch {
    return undefined
  }
  const template = settings.safeParse(json).data?.chat_template
  if (!Array.isArray(template)) return template || undefined
  return (template.find(({ name }) => name === 'default') ?? template[0])?.template
}
