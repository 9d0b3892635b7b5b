// One generation: prompt in chunks, then token after token, until something ends it. Text comes out in whole characters;
// a stop string never does, not even in part.
import { fail } from '../../ir/diagnostic.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { Batch } from './batch.ts'
import type { PageAllocator } from './page-allocator.ts'
import { checkTokens } from './score.ts'
import type { SamplerSettings, Stepper } from './stepper.ts'
import { StopStrings } from './stop-strings.ts'

/** Why a generation ended: a token that ends texts, a stop string, the number of tokens asked for, a full context, abort. */
export type FinishReason = 'eos' | 'stop' | 'length' | 'context' | 'aborted'

export interface GenerationRequest {
  readonly promptIds: readonly number[]
  readonly maxTokens: number
  readonly sampler: SamplerSettings
  readonly stop: readonly string[]
  readonly ignoreEos: boolean
  /** text goes on behind other text: a leading space of the first token is kept */
  readonly continues: boolean
  readonly signal?: AbortSignal | undefined
}

export interface Timings {
  readonly promptTokens: number
  /** prompt read, up to the first token */
  readonly prefillMs: number
  readonly decodedTokens: number
  /** all tokens after the first */
  readonly decodeMs: number
}

export interface GenerationResult {
  readonly promptIds: readonly number[]
  readonly tokenIds: readonly number[]
  readonly text: string
  readonly reason: FinishReason
  readonly seed: number
  readonly timings: Timings
}

/** A token and the text that it completed, which may be empty. */
export interface GeneratedPiece {
  readonly id: number
  readonly text: string
}

export interface Sequencer {
  readonly stepper: Stepper
  readonly pages: PageAllocator
  readonly tokenizer: Tokenizer
  /** rows of the embedding; the tokenizer may know more tokens, or fewer */
  readonly vocabSize: number
  /** most tokens of a sequence */
  readonly context: number
  readonly eosIds: ReadonlySet<number>
  readonly batch: Batch
}

/** Yields pieces; returns what came of it. The caller may stop early (`return`), which frees everything too. */
export async function* generate(
  s: Sequencer,
  request: GenerationRequest,
): AsyncGenerator<GeneratedPiece, GenerationResult> {
  const { promptIds, sampler, signal } = request
  checkPrompt(s, promptIds)
  const room = s.context - promptIds.length
  const budget = Math.min(request.maxTokens, room)
  const pageCount = Math.ceil(Math.min(s.context, promptIds.length + budget) / s.stepper.pageSize)
  const pages = await allocate(s, pageCount, signal)
  const decoder = s.tokenizer.streamDecoder({ continues: request.continues })
  const stops = new StopStrings(request.stop)
  const tokenIds: number[] = []
  let text = ''
  let reason: FinishReason = budget < request.maxTokens ? 'context' : 'length'
  const start = performance.now()
  let firstAt = start
  const source = tokens(s, { promptIds, pages, sampler }, budget, signal)
  try {
    for await (const id of source) {
      if (tokenIds.length === 0) firstAt = performance.now()
      const isEnd = s.eosIds.has(id) && !request.ignoreEos
      if (isEnd) {
        reason = 'eos'
        break
      }
      tokenIds.push(id)
      const ready = stops.push(decoder.push(id))
      text += ready
      yield { id, text: ready }
      if (stops.found) {
        reason = 'stop'
        break
      }
      if (signal?.aborted) {
        reason = 'aborted'
        break
      }
    }
    if (signal?.aborted) reason = 'aborted'
    if (!stops.found) {
      const rest = stops.push(decoder.end()) + stops.end()
      if (stops.found) reason = 'stop' // by the character that never became whole
      text += rest
      if (rest) yield { id: tokenIds.at(-1) ?? -1, text: rest }
    }
  } finally {
    await source.return(undefined)
    s.pages.free(pages)
  }
  const end = performance.now()
  const timings = {
    promptTokens: promptIds.length,
    prefillMs: rounded(firstAt - start),
    decodedTokens: Math.max(0, tokenIds.length - 1),
    decodeMs: rounded(end - firstAt),
  }
  return { promptIds, tokenIds, text, reason, seed: sampler.seed, timings }
}

/** ms to µs: the clock knows no more. */
const rounded = (ms: number): number => Math.round(ms * 1000) / 1000

/** None where the signal came first: such a generation has no tokens. */
async function allocate(s: Sequencer, count: number, signal: AbortSignal | undefined): Promise<number[]> {
  if (signal?.aborted) return []
  try {
    return await s.pages.allocate(count, signal)
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return []
    throw error
  }
}

/** The tokens themselves: the prompt in chunks, then one by one. */
async function* tokens(
  s: Sequencer,
  { promptIds, pages, sampler }: { promptIds: readonly number[]; pages: readonly number[]; sampler: SamplerSettings },
  budget: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<number, void> {
  if (budget <= 0 || signal?.aborted) return
  const { stepper, batch } = s
  const step = (from: number, to: number) => ({ tokens: promptIds.slice(from, to), position: from, pages, sampler })
  let at = 0
  for (; promptIds.length - at > stepper.chunk; at += stepper.chunk) {
    await batch.exclusive(() => stepper.prefill(step(at, at + stepper.chunk)))
    if (signal?.aborted) return
  }
  const token = drawn(await batch.exclusive(() => stepper.sample(step(at, promptIds.length))), promptIds.length, 0)
  yield token
  if (budget === 1 || signal?.aborted) return
  const member = batch.join({ tokens: [token], position: promptIds.length, pages, sampler }, budget - 1)
  try {
    for (let made = 1; made < budget && !signal?.aborted; made++)
      yield drawn(await member.next(), promptIds.length + made, made)
  } finally {
    await member.leave()
  }
}

/** The token of a step, which samplers leave out (noToken) where the logits are not numbers: such a text cannot go on. */
function drawn(token: number, position: number, made: number): number {
  if (token >= 0) return token
  return fail({
    code: 'bad-logits',
    message: `the logits of step ${made + 1} of the generation are not finite numbers: no token can be drawn from them`,
    facts: [
      [
        'position',
        `${position} of the sequence, ${made ? `behind ${made} generated tokens` : 'the first behind the prompt'}`,
      ],
      ['expected', 'logits whose largest is a finite number'],
      ['got', 'NaN, +∞, or −∞ alone'],
    ],
    help:
      'a weight may be damaged (compare the file with its source), an activation too large for 16 bits (try activations f32), ' +
      'or a kernel wrong on this device (try --self-check, or --device host)',
  })
}

function checkPrompt(s: Sequencer, promptIds: readonly number[]): void {
  if (promptIds.length === 0)
    fail({
      code: 'empty-prompt',
      message: 'the prompt has no tokens',
      help: 'give a text, or a model that begins with a bos token',
    })
  checkTokens(s, promptIds.slice(0, s.context))
  if (promptIds.length >= s.context) {
    fail({
      code: 'context-full',
      message: `the prompt has ${promptIds.length} tokens, the context holds ${s.context}`,
      help: 'shorten the prompt, or compile with a larger context',
    })
  }
}
