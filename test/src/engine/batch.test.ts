// Generations that run together, on a scripted stepper that works ahead as a device does: who shares a batch changes no text.
import { describe, expect, test } from 'vitest'
import { Batch } from '../../../src/engine/batch.ts'
import { type GenerationResult, generate, type Sequencer } from '../../../src/engine/generate.ts'
import { PageAllocator } from '../../../src/engine/page-allocator.ts'
import { type BatchDecoding, greedy, type StepInput, type Stepper } from '../../../src/engine/stepper.ts'
import type { Tokenizer } from '../../../src/tokenizer/tokenizer.ts'
import fc from '../../fast-check.ts'

const eos = 0
const ahead = 4
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** The token of a text at a position; even ones end. */
const tokenOf = (prompt: number, position: number): number =>
  prompt % 2 === 0 && (prompt * 31 + position * 17) % 23 === 0 ? eos : 1 + ((prompt + position * 7) % 200)

class AheadStepper implements Stepper {
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
  async absorb(): Promise<void> {
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
  async logits(): Promise<Float32Array> {
    return new Float32Array()
  }
  async allLogits(): Promise<Float32Array> {
    return new Float32Array()
  }
  [Symbol.dispose](): void {}
}

class WatchedPages extends PageAllocator {
  stepper: AheadStepper | undefined
  override give(pages: readonly number[]): void {
    for (const page of pages) expect(this.stepper!.busy.has(page), `page ${page} is still written to`).toBe(false)
    super.give(pages)
  }
}

function sequencer(maxBatch: number, pages: number): Sequencer & { stepper: AheadStepper } {
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
    context: 64,
    eosIds: new Set([eos]),
  }
}

interface Run {
  readonly prompt: number
  readonly promptTokens: number
  readonly maxTokens: number
  /** event loop turns before each piece is taken */
  readonly delay: number
  /** pieces after which it is aborted */
  readonly abortAfter?: number | undefined
}

async function run(
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

const someRun = fc.record<Run>({
  prompt: fc.nat(1000),
  promptTokens: fc.integer({ min: 1, max: 11 }),
  maxTokens: fc.integer({ min: 0, max: 30 }),
  delay: fc.constantFrom(0, 0, 0, 1, 9),
  abortAfter: fc.option(fc.nat(12), { nil: undefined, freq: 6 }),
})

test('together every generation gives the text that it gives alone', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(someRun, { minLength: 1, maxLength: 9 }),
      fc.integer({ min: 1, max: 4 }),
      async (runs, maxBatch) => {
        const s = sequencer(maxBatch, maxBatch === 1 ? 200 : 16 * maxBatch) // a batch of one never waits for pages
        const together = await Promise.all(runs.map((one) => run(s, one)))
        expect(s.pages.free).toBe(s.stepper.pages)
        for (const [i, one] of runs.entries()) {
          const alone = await run(sequencer(1, 16), one)
          expect({ ...together[i]!, timings: {} }).toEqual({ ...alone, timings: {} })
        }
      },
    ),
    { numRuns: 60 },
  ))

/** A prompt whose text never ends by itself. */
const endless = Array.from({ length: 1000 }, (_, prompt) => prompt).filter((prompt) =>
  Array.from({ length: 64 }, (_, position) => tokenOf(prompt, position)).every(
    (token) => token !== eos && token !== 77,
  ),
)
const plain = (i: number, more: Partial<Run> = {}): Run => ({
  prompt: endless[i]!,
  promptTokens: 3,
  maxTokens: 20,
  delay: 0,
  ...more,
})

describe('who runs with whom', () => {
  test('all that are there, as soon as their prompts are read', async () => {
    const s = sequencer(4, 64)
    await Promise.all([0, 1, 2].map((i) => run(s, plain(i))))
    expect(Math.max(...s.stepper.sizes)).toBe(3)
    expect(s.stepper.sizes.length).toBeLessThan(12)
  })

  test('who takes no tokens waits outside, and costs the others nothing', async () => {
    const s = sequencer(2, 32)
    const slow = generate(s, {
      promptIds: [1],
      maxTokens: 60,
      sampler: { ...greedy, seed: endless[0]! },
      ...{ stop: [], ignoreEos: true, continues: false },
    })
    await slow.next()
    await slow.next()
    const { tokenIds } = await run(s, plain(1, { maxTokens: 40 }))
    expect(tokenIds).toHaveLength(40)
    expect(s.stepper.sizes.at(-1)).toBe(1)
    await slow.return(undefined as never)
    expect(s.pages.free).toBe(32)
  })

  test('more than a batch holds take turns', async () => {
    const s = sequencer(2, 64)
    const results = await Promise.all([0, 1, 2, 3, 4].map((i) => run(s, plain(i))))
    expect(results.map(({ tokenIds }) => tokenIds.length)).toEqual([20, 20, 20, 20, 20])
  })

  test('more than pages hold wait, in order; an abort ends the wait', async () => {
    const s = sequencer(2, 6) // 23 tokens are 6 pages
    const order: number[] = []
    const controller = new AbortController()
    const waiting = generate(s, {
      promptIds: [1],
      maxTokens: 20,
      sampler: greedy,
      signal: controller.signal,
      ...{ stop: [], ignoreEos: true, continues: false },
    })
    const first = run(s, plain(0)).then(() => order.push(0))
    await turn()
    const aborted = waiting.next()
    const rest = [1, 2].map((i) => run(s, plain(i)).then(() => order.push(i)))
    controller.abort()
    expect((await aborted).value).toMatchObject({ reason: 'aborted', text: '' })
    await Promise.all([first, ...rest])
    expect(order).toEqual([0, 1, 2])
    await expect(run(s, plain(0, { maxTokens: 60 }))).rejects.toMatchObject({ code: 'kv-full' })
  })

  test('a device that fails ends all, and frees their pages', async () => {
    const s = sequencer(3, 48)
    s.stepper.fails = 5
    const results = await Promise.allSettled([0, 1, 2].map((i) => run(s, plain(i))))
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected'])
    expect(s.pages.free).toBe(48)
  })
})
