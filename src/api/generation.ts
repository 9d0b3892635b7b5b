// Generation: the pieces of a text as they come, and what came of it in the end.
import { fail } from '../../ir/diagnostic.ts'
import { type CallSite, placeError } from '../call-site.ts'
import type { GeneratedPiece, GenerationResult } from '../engine/generate.ts'

export type { FinishReason, GeneratedPiece, GenerationResult, Timings } from '../engine/generate.ts'

/**
 * Iterate it for the pieces, or await `text()` or `result()` for the whole. Nothing runs before either is asked for; a
 * loop that is left early ends the generation.
 */
export class Generation implements AsyncIterable<GeneratedPiece> {
  readonly #start: () => Promise<AsyncGenerator<GeneratedPiece, GenerationResult>>
  #iterator: AsyncGenerator<GeneratedPiece, void> | undefined
  #result: GenerationResult | undefined
  #failure: { readonly error: unknown } | undefined

  readonly #site: CallSite

  /** @internal site: who asked for it */
  constructor(site: CallSite, start: () => Promise<AsyncGenerator<GeneratedPiece, GenerationResult>>) {
    this.#site = site
    this.#start = start
  }

  /** A generation runs once: every call gives the same iterator. */
  [Symbol.asyncIterator](): AsyncGenerator<GeneratedPiece, void> {
    this.#iterator ??= this.#run()
    return this.#iterator
  }

  async *#run(): AsyncGenerator<GeneratedPiece, void> {
    try {
      this.#result = yield* await this.#start()
    } catch (thrown) {
      const error = placeError(thrown, this.#site)
      this.#failure = { error }
      throw error
    }
  }

  /** Runs to the end; pieces that nobody took are part of it. Undefined parts: none. */
  async result(): Promise<GenerationResult> {
    for await (const _ of this) {
      // the result holds them all
    }
    if (this.#failure) throw this.#failure.error
    return (
      this.#result ??
      fail({
        code: 'left-early',
        message: 'a generation that was left before its end has no result',
        help: 'end it with an AbortSignal instead, which gives the result so far',
      })
    )
  }

  /** The whole text. */
  async text(): Promise<string> {
    return (await this.result()).text
  }
}
