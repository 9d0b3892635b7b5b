// The engine's loop on a scripted stepper: no model, every order of events.
import { describe, expect, test } from 'vitest'
import { noToken } from '../../../ir/ops/model/no-token.ts'
import { Batch } from '../../../src/engine/batch.ts'
import { type GenerationRequest, generate, type Sequencer } from '../../../src/engine/generate.ts'
import { PageAllocator } from '../../../src/engine/page-allocator.ts'
import { type BatchDecoding, greedy, type StepInput, type Stepper } from '../../../src/engine/stepper.ts'
import type { StreamDecoder, Tokenizer } from '../../../src/tokenizer/tokenizer.ts'

const eos = 2

/** The token at each position is the one the script has there; a token is the byte of its number. */
class ScriptedStepper implements Stepper {
  readonly chunk = 4
  readonly pageSize = 4
  readonly pages = 8
  readonly maxBatch = 1
  readonly log: string[] = []
  readonly #script: readonly number[]
  readonly #fails: number

  constructor(script: readonly number[], fails = Number.POSITIVE_INFINITY) {
    this.#script = script
    this.#fails = fails
  }
  #at(position: number): number {
    if (position >= this.#fails) throw new Error('the device is gone')
    return this.#script[position] ?? 65
  }
  #start(what: string, { position, tokens }: StepInput): void {
    this.log.push(`${what} ${position}+${tokens.length}`)
  }
  async prefill(step: StepInput): Promise<void> {
    this.#start('prefill', step)
  }
  async sample(step: StepInput): Promise<number> {
    this.#start('sample', step)
    return this.#at(step.position + step.tokens.length)
  }
  decode(): never {
    throw new Error('sequences decode in batches')
  }
  decodeBatch([step]: readonly StepInput[], count: number): BatchDecoding {
    let { position } = step!
    let stopped = false
    this.#start(`decode ≤${count}`, step!)
    const stop = () => {
      if (!stopped) this.log.push(`stop ${position}`)
      stopped = true
    }
    return {
      get stopped() {
        return stopped
      },
      next: async () => [this.#at(++position)],
      finish: async () => {
        stop()
        return []
      },
      stop: async () => stop(),
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

function streamDecoder(): StreamDecoder {
  const decoder = new TextDecoder()
  return {
    push: (id) => decoder.decode(Uint8Array.of(id), { stream: true }),
    end: () => decoder.decode(),
  }
}

function sequencer(stepper: Stepper, context = 32): Sequencer {
  return {
    stepper,
    batch: new Batch(stepper),
    pages: new PageAllocator(stepper.pages),
    tokenizer: { vocabSize: 256, streamDecoder } as unknown as Tokenizer,
    vocabSize: 256,
    context,
    eosIds: new Set([eos]),
  }
}

const request = (more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  promptIds: [1, 10, 11],
  maxTokens: 6,
  sampler: { ...greedy, seed: 7 },
  stop: [],
  ignoreEos: false,
  continues: true,
  ...more,
})

/** Runs to the end: pieces and result. */
async function all(s: Sequencer, more: Partial<GenerationRequest> = {}) {
  const run = generate(s, request(more))
  const pieces: string[] = []
  for (;;) {
    const step = await run.next()
    if (step.done) return { pieces, ...step.value }
    pieces.push(step.value.text)
  }
}

/** The script whose text from position `from` on is `text`. */
const script = (from: number, text: string): number[] => [...Array(from).fill(0), ...Buffer.from(text)]

describe('steps', () => {
  test('a prompt in chunks, a token behind its last, then one decoding', async () => {
    const stepper = new ScriptedStepper(script(10, 'hello world'))
    const s = sequencer(stepper)
    const { pieces, tokenIds, reason, timings } = await all(s, { promptIds: Array(10).fill(9), maxTokens: 5 })
    expect(stepper.log).toEqual(['prefill 0+4', 'prefill 4+4', 'sample 8+2', 'decode ≤4 10+1', 'stop 14'])
    expect([pieces, reason]).toEqual([['h', 'e', 'l', 'l', 'o'], 'length'])
    expect(Buffer.from(tokenIds).toString()).toBe('hello')
    expect(timings).toMatchObject({ promptTokens: 10, decodedTokens: 4 })
    expect(s.pages.available).toBe(8)
  })

  test('a chunk exactly full is one step', async () => {
    const stepper = new ScriptedStepper(script(4, 'ab'))
    await all(sequencer(stepper), { promptIds: [1, 2, 3, 4], maxTokens: 1 })
    expect(stepper.log).toEqual(['sample 0+4'])
  })

  test('a generation that was interrupted goes on behind its last token', async () => {
    const stepper = new ScriptedStepper(script(3, 'abcdefgh'))
    const s = sequencer(stepper)
    const [a, b] = [generate(s, request()), generate(s, request())]
    const texts = ['', '']
    for (let turn = 0; turn < 6; turn++) {
      for (const [i, run] of [a, b].entries()) {
        const { value, done } = await run.next()
        if (!done) texts[i] += (value as { text: string }).text
      }
    }
    expect(texts).toEqual(['abcdef', 'abcdef'])
    expect(stepper.log.filter((line) => line.startsWith('sample'))).toHaveLength(2)
    await a.return(undefined as never)
    await b.return(undefined as never)
    expect(s.pages.available).toBe(8)
  })
})

describe('ends', () => {
  test.each<[string, Partial<GenerationRequest>, { text: string; reason: string; tokens: number }]>([
    ['maxTokens', { maxTokens: 3 }, { text: 'one', reason: 'length', tokens: 3 }],
    ['no tokens', { maxTokens: 0 }, { text: '', reason: 'length', tokens: 0 }],
    ['eos', { maxTokens: 20 }, { text: 'one two', reason: 'eos', tokens: 7 }],
    ['eos ignored', { maxTokens: 10, ignoreEos: true }, { text: 'one two\x02AA', reason: 'length', tokens: 10 }],
    ['a stop string', { maxTokens: 20, stop: ['e t'] }, { text: 'on', reason: 'stop', tokens: 5 }],
    ['a stop string begun at the end', { maxTokens: 4, stop: [' zoo'] }, { text: 'one ', reason: 'length', tokens: 4 }],
    [
      'a stop string begun before eos',
      { maxTokens: 20, stop: ['two!'] },
      { text: 'one two', reason: 'eos', tokens: 7 },
    ],
  ])('%s', async (_, more, expected) => {
    const s = sequencer(new ScriptedStepper([...script(3, 'one two'), eos]))
    const { text, reason, tokenIds, pieces } = await all(s, more)
    expect({ text, reason, tokens: tokenIds.length }).toEqual(expected)
    expect(pieces.join('')).toBe(text)
    expect(s.pages.available).toBe(8)
  })

  test('a full context', async () => {
    const s = sequencer(new ScriptedStepper(script(3, 'abcdefghijkl')), 8)
    expect(await all(s, { maxTokens: 100 })).toMatchObject({ text: 'abcde', reason: 'context' })
    expect(await all(s, { maxTokens: 5 })).toMatchObject({ text: 'abcde', reason: 'length' })
  })

  test('characters of several tokens come whole; one that is cut is U+FFFD', async () => {
    const s = sequencer(new ScriptedStepper(script(3, 'é🐘z')))
    expect((await all(s, { maxTokens: 7 })).pieces).toEqual(['', 'é', '', '', '', '🐘', 'z'])
    expect((await all(s, { maxTokens: 4 })).text).toBe('é\ufffd')
    expect(await all(s, { maxTokens: 4, stop: ['\ufffd'] })).toMatchObject({ text: 'é', reason: 'stop' })
    expect(await all(s, { maxTokens: 7, stop: ['🐘'] })).toMatchObject({ text: 'é', reason: 'stop' })
  })

  test('abort', async () => {
    const s = sequencer(new ScriptedStepper(script(3, 'abcdefgh')))
    expect(await all(s, { signal: AbortSignal.abort() })).toMatchObject({ text: '', reason: 'aborted' })
    const controller = new AbortController()
    const run = generate(s, request({ signal: controller.signal }))
    await run.next()
    controller.abort()
    const { value, done } = await run.next()
    expect(done).toBe(true)
    expect(value).toMatchObject({ text: 'a', reason: 'aborted' })
    expect(s.pages.available).toBe(8)
  })
})

describe('mishaps', () => {
  test('a device that fails frees the pages and tells why', async () => {
    const s = sequencer(new ScriptedStepper(script(3, 'abcdefgh'), 5))
    await expect(all(s)).rejects.toThrow('the device is gone')
    expect(s.pages.available).toBe(8)
    const atOnce = sequencer(new ScriptedStepper([], 0))
    await expect(all(atOnce)).rejects.toThrow('the device is gone')
    expect(atOnce.pages.available).toBe(8)
  })

  test.each([
    [1, 3, 'position 3 of the sequence, the first behind the prompt'],
    [3, 5, 'position 5 of the sequence, behind 2 generated tokens'],
  ])('logits without a number in step %s end a generation', async (step, position, place) => {
    const s = sequencer(new ScriptedStepper([...script(position, ''), noToken, 65, 65, 65]))
    const error = await all(s).then(
      () => expect.fail('went on'),
      (reason) => reason,
    )
    expect(error).toMatchObject({
      code: 'bad-logits',
      summary: expect.stringContaining(`step ${step} of the generation`),
    })
    expect(error.message).toContain(place)
    expect(s.pages.available).toBe(8)
  })

  test.each([
    ['empty-prompt', []],
    ['bad-token', [1, 256]],
    ['bad-token', [-1]],
    ['context-full', Array(32).fill(1)],
  ])('%s', async (code, promptIds) => {
    const s = sequencer(new ScriptedStepper([]))
    await expect(all(s, { promptIds })).rejects.toMatchObject({ code })
    expect(s.pages.available).toBe(8)
  })

  test('pages that others hold are waited for', async () => {
    const s = sequencer(new ScriptedStepper([]))
    const held = await s.pages.allocate(7)
    const waiting = all(s)
    expect((await all(sequencer(new ScriptedStepper([])))).tokenIds).toHaveLength(6)
    expect(s.pages.waiting).toBe(1)
    s.pages.free(held)
    expect((await waiting).tokenIds).toHaveLength(6)
    expect(s.pages.available).toBe(8)
  })
})
