// How a generation went, in one line.
import type { GenerationResult } from '../engine/generate.ts'

/** Tokens a second, none where nothing was timed. */
export const rate = (tokens: number, ms: number): number => (ms > 0 ? (tokens * 1000) / ms : 0)

/** One line; `firstAt`: ms from the start of the process to the first token. */
export function summary({ timings: t, reason, tokenIds, seed }: GenerationResult, firstAt?: number): string {
  const why = {
    eos: 'the text ended',
    stop: 'a stop text came',
    length: 'the number of tokens asked for',
    context: 'the context is full',
    aborted: 'interrupted',
  }[reason]
  const prefill = `prompt ${t.promptTokens} tokens, ${rate(t.promptTokens, t.prefillMs).toFixed(0)} tokens/s`
  const first = firstAt === undefined ? '' : `first token after ${(firstAt / 1000).toFixed(2)} s · `
  return `${first}${prefill} · ${tokenIds.length} tokens, ${rate(t.decodedTokens, t.decodeMs).toFixed(1)} tokens/s · ${why} · seed ${seed}`
}
