// Logits of given tokens: a sequence that is read and never continued.
import { fail } from '../../ir/diagnostic.ts'
import { checkRows } from './check-tokens.ts'
import type { Sequencer } from './generate.ts'
import { greedy } from './stepper.ts'

interface ScoreOptions {
  /** behind each token, not behind the last alone */
  readonly all: boolean
  readonly signal?: AbortSignal | undefined
}

/** f32[V] behind the last token, or f32[tokens · V]. Waits for pages; an abort rejects between two steps. */
export async function score(s: Sequencer, tokens: readonly number[], { all, signal }: ScoreOptions) {
  const { stepper, pages, batch } = s
  checkTokens(s, tokens)
  const held = await pages.allocate(Math.ceil(tokens.length / stepper.pageSize), signal)
  const parts: Float32Array[] = []
  try {
    for (let at = 0; at < tokens.length; at += stepper.chunk) {
      signal?.throwIfAborted()
      const step = { tokens: tokens.slice(at, at + stepper.chunk), position: at, pages: held, sampler: greedy }
      const isLast = at + stepper.chunk >= tokens.length
      if (all) parts.push(await batch.exclusive(() => stepper.allLogits(step)))
      else if (isLast) parts.push(await batch.exclusive(() => stepper.logits(step)))
      else await batch.exclusive(() => stepper.prefill(step))
    }
  } finally {
    pages.free(held)
  }
  return joined(parts)
}

function joined(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!
  const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

/** Diagnostics `bad-token` and `context-full`. */
export function checkTokens(
  s: Pick<Sequencer, 'tokenizer' | 'vocabSize' | 'context'>,
  tokens: readonly number[],
): void {
  if (tokens.length === 0)
    fail({ code: 'bad-token', message: 'there are no tokens', help: 'give at least one: a bos token begins a text' })
  checkRows(tokens, s.vocabSize, s.tokenizer)
  if (tokens.length > s.context)
    fail({
      code: 'context-full',
      message: `${tokens.length} tokens do not fit into a context of ${s.context}`,
      help: 'give fewer tokens, or compile with a larger context',
    })
}
