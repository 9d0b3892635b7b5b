// A scripted stepper that works ahead as a device does, and generations on it: tokens depend on prompt and position alone.
import { expect } from 'vitest'
import { Batch } from '../../../src/engine/batch.ts'
import { type GenerationResult, generate, type Sequencer } from '../../../src/engine/generate.ts'
import { PageAllocator } from '../../../src/engine/page-allocator.ts'
import { type BatchDecoding, greedy, type StepInput, type Stepper } from '../../../src/engine/stepper.ts'
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.ts'

export const eos = 0
const ahead = 4
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** The token of a text at a position; even ones end. */
export const tokenOf = (prompt: number, position: number): number =>
  prompt % 2 === 0 && (prompt * 31 + position * 17) % 23 === 0 ? eos : 1 + ((prompt + position * 7) % 200)

export class AheadStepper implements Stepper {
  readonly chunk = 4
  readonly pageSize = 4
  readonly pages: number
  readonly maxBatch: number
  readonly sizes: number[] = []
  fails = Number.POSITIVE_INFINITY
  /** pages that steps under way write to */
  readonly busy = new Map<number, number>()
  #steps = 0

  constructor(maxBatch: number, pages: number) {
    this.maxBatch = maxBatch
    this.pages = pages
  }
  async prefill(): Promise<void> {
    expect(this.busy.size, 'a prompt is read between decodings').toBe(0)
  }
  async sample({ tokens, position, sampler }: StepInput): Promise<number> {
    expect(this.busy.size, 'a prompt is read between decodings').toBe(0)
    await turn()
    return tokenOf(sampler.seed, position + tokens.length)
  }
  decode(): never {
    throw new Error('sequences decode in batches')
  }
  decodeBatch(steps: readonly StepInput[], count: number): BatchDecoding {
    expect(this.busy.size, 'one decoding at a time').toBe(0)
    expect(steps.length).toBeLessThanOrEqual(this.maxBatch)
    for (const { tokens, position, sampler } of steps) expect(tokens).toEqual([tokenOf(sampler.seed, position)]) // each goes on behind its own last token
    this.sizes.push(steps.length)
    for (const { pages } of steps) for (const page of pages) this.busy.set(page, 1)
    let [read, started] = [0, 0]
    const end = () => {
      this.busy.clear()
    }
    const at = (n: number) => steps.map(({ position, sampler }) => tokenOf(sampler.seed, position + 1 + n))
    return {
      stopped: false,
      next: async () => {
        started = Math.min(count, read + ahead)
        expect(read).toBeLessThan(count)
        if (++this.#steps > this.fails) {
          end()
          throw new Error('the device is gone')
        }
        await turn()
        return at(read++)
      },
      finish: async () => {
        await turn()
        end()
        return Array.from({ length: started - read }, (_, i) => at(read + i))
      },
      stop: async () => end(),
    }
  }
  /** f32[1]: twice the token */
  async logits(step: StepInput): Promise<Float32Array> {
    return (await this.allLogits(step)).slice(-1)
  }
  async allLogits({ tokens, pages }: StepInput): Promise<Float32Array> {
    expect(this.busy.size, 'tokens are scored between decodings').toBe(0)
    for (const page of pages) this.busy.set(page, 1)
    await turn()
    this.busy.clear()
    return Float32Array.from(tokens, (token) => token * 2)
  }
  [Symbol.dispose](): void {}
}

class WatchedPages extends PageAllocator {
  stepper: AheadStepper | undefined
  override free(pages: readonly number[]): void {
    for (const page of pages) expect(this.stepper!.busy.has(page), `page ${page} is still written to`).toBe(false)
    super.free(pages)
  }
}

export function sequencer(maxBatch: number, pages: number): Sequencer & { stepper: AheadStepper } {
  const stepper = new AheadStepper(maxBatch, pages)
  const watched = new WatchedPages(pages)
  watched.stepper = stepper
  return {
    stepper,
    batch: new Batch(stepper),
    pages: watched,
    tokenizer: {
      vocabSize: 256,
      streamDecoder: () => ({ push: (id: number) => `${id} `, end: () => '' }),
    } as unknown as Tokenizer,
    vocabSize: 256,
    context: 64,
    eosIds: new Set([eos]),
  }
}

export interface Run {
  readonly prompt: number
  readonly promptTokens: number
  readonly maxTokens: number
  /** event loop turns before each piece is taken */
  readonly delay: number
  /** pieces after which it is aborted */
  readonly abortAfter?: number | undefined
}

export async function run(
  s: Sequencer,
  { prompt, promptTokens, maxTokens, delay, abortAfter }: Run,
): Promise<GenerationResult> {
  const controller = new AbortController()
  const generation = generate(s, {
    promptIds: Array(promptTokens).fill(prompt % 256),
    maxTokens,
    sampler: { ...greedy, seed: prompt },
    stop: ['77 '],
    ignoreEos: false,
    continues: false,
    signal: controller.signal,
  })
  for (let pieces = 0; ; pieces++) {
    for (let i = 0; i < delay; i++) await turn()
    if (pieces === abortAfter) controller.abort()
    const { done, value } = await generation.next()
    if (done) return value
  }
}
