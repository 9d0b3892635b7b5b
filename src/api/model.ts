// Model: a compiled checkpoint, ready to generate.
import { fail } from '../../ir/diagnostic.ts'
import { Batch } from '../engine/batch.ts'
import {
  type GeneratedPiece,
  type GenerationRequest,
  type GenerationResult,
  generate,
  type Sequencer,
} from '../engine/generate.ts'
import { PageAllocator } from '../engine/page-allocator.ts'
import { greedy, type Stepper } from '../engine/stepper.ts'
import type { Checkpoint } from '../loader/checkpoint.ts'
import {
  type ChatOptions,
  type ChatSettings,
  chatOptions,
  type GenerateOptions,
  generateOptions,
  readOptions,
} from '../options.ts'
import type { ChatMessage } from '../tokenizer/chat-template.ts'
import { encodeChat } from '../tokenizer/encode-chat.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import type { Device } from './device.ts'
import { Generation } from './generation.ts'
import type { ModelPlan } from './plan.ts'

export interface ModelParts {
  readonly checkpoint: Checkpoint
  readonly device: Device
  readonly tokenizer: Tokenizer
  readonly stepper: Stepper
  readonly plan: ModelPlan
  /** released with the model, the last first */
  readonly owned: readonly (Disposable | AsyncDisposable)[]
}

/** The last first. */
export async function releaseAll(owned: ModelParts['owned']): Promise<void> {
  for (const resource of [...owned].reverse()) {
    await (Symbol.asyncDispose in resource ? resource[Symbol.asyncDispose]() : resource[Symbol.dispose]())
  }
}

/** A prompt: text, or token ids as they are. */
export type Prompt = string | { readonly tokens: readonly number[] }
export type GenerateCall = GenerateOptions & { readonly signal?: AbortSignal | undefined }
export type ChatCall = ChatOptions & {
  readonly signal?: AbortSignal | undefined
  /** Jinja source to use instead of the model's own */
  readonly chatTemplate?: string
}

export class Model implements AsyncDisposable {
  /** graphs before and after the passes, and what runs: `model.graph.print()` */
  readonly graph: ModelPlan
  readonly #parts: ModelParts
  readonly #sequencer: Sequencer
  #disposal: Promise<void> | undefined

  constructor(parts: ModelParts) {
    this.#parts = parts
    this.graph = parts.plan
    this.#sequencer = {
      stepper: parts.stepper,
      pages: new PageAllocator(parts.stepper.pages),
      tokenizer: parts.tokenizer,
      context: parts.plan.context,
      eosIds: new Set([...parts.tokenizer.eosIds, ...parts.checkpoint.config.eos, ...parts.checkpoint.generation.eos]),
      batch: new Batch(parts.stepper, () => this.#alive()),
    }
  }

  get device(): Device {
    return this.#parts.device
  }
  get tokenizer(): Tokenizer {
    return this.#parts.tokenizer
  }
  get config(): Checkpoint['config'] {
    return this.#parts.checkpoint.config
  }
  get path(): string {
    return this.#parts.checkpoint.path
  }
  /** tokens that a prompt and its continuation may have together */
  get context(): number {
    return this.#parts.plan.context
  }
  /** what the model's authors would sample with */
  get generationDefaults(): Checkpoint['generation'] {
    return this.#parts.checkpoint.generation
  }

  /** Continues a text. `for await (const piece of model.generate('Once')) process.stdout.write(piece.text)` */
  generate(prompt: Prompt, options: GenerateCall = {}): Generation {
    const { signal, ...rest } = options
    const settings = readOptions(generateOptions, rest)
    return new Generation(async () => {
      const promptIds = typeof prompt === 'string' ? this.tokenizer.encode(prompt, settings) : [...prompt.tokens]
      return this.#run(promptIds, settings, true, signal)
    })
  }

  /** Answers a conversation, by the model's chat template. */
  chat(messages: readonly ChatMessage[], options: ChatCall = {}): Generation {
    const { signal, chatTemplate, ...rest } = options
    const settings = readOptions(chatOptions, rest)
    return new Generation(async () => {
      const promptIds = await encodeChat(this.tokenizer, messages, chatTemplate === undefined ? {} : { chatTemplate })
      return this.#run(promptIds, settings, false, signal)
    })
  }

  /** Logits f32[V] behind the last of `tokens`; with `all`, f32[tokens · V] behind each. */
  async logits(tokens: readonly number[], options: { readonly all?: boolean } = {}): Promise<Float32Array> {
    this.#alive()
    const { stepper, pages, tokenizer, batch } = this.#sequencer
    const wrong = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= tokenizer.vocabSize)
    if (tokens.length === 0 || wrong !== undefined || tokens.length > this.context) {
      fail({
        code: tokens.length > this.context ? 'context-full' : 'bad-token',
        message:
          tokens.length === 0
            ? 'there are no tokens'
            : wrong === undefined
              ? `${tokens.length} tokens do not fit into a context of ${this.context}`
              : `token ${wrong} is outside the vocabulary of ${tokenizer.vocabSize}`,
      })
    }
    const taken = pages.take(Math.ceil(tokens.length / stepper.pageSize))
    const parts: Float32Array[] = []
    try {
      for (let at = 0; at < tokens.length; at += stepper.chunk) {
        const step = { tokens: tokens.slice(at, at + stepper.chunk), position: at, pages: taken, sampler: greedy }
        const isLast = at + stepper.chunk >= tokens.length
        if (options.all) parts.push(await batch.exclusive(() => stepper.allLogits(step)))
        else if (isLast) return await batch.exclusive(() => stepper.logits(step))
        else await batch.exclusive(() => stepper.absorb(step))
      }
      const all = new Float32Array(parts.reduce((n, part) => n + part.length, 0))
      let at = 0
      for (const part of parts) {
        all.set(part, at)
        at += part.length
      }
      return all
    } finally {
      pages.give(taken)
    }
  }

  #run(
    promptIds: readonly number[],
    settings: ChatSettings,
    continues: boolean,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<GeneratedPiece, GenerationResult> {
    this.#alive()
    const { generation } = this.#parts.checkpoint
    // what was asked for; else, if sampling was asked for at all, what the authors say; else greedy
    const temperature = settings.temperature ?? 0
    const request: GenerationRequest = {
      promptIds,
      maxTokens: settings.maxTokens,
      sampler: {
        temperature,
        topK: settings.topK ?? generation.topK ?? 0,
        topP: settings.topP ?? generation.topP ?? 1,
        minP: settings.minP ?? generation.minP ?? 0,
        repeatPenalty: settings.repeatPenalty ?? generation.repetitionPenalty ?? 1,
        repeatLastN: settings.repeatLastN,
        frequencyPenalty: settings.frequencyPenalty,
        presencePenalty: settings.presencePenalty,
        promptTokens: promptIds.length,
        logitBias: this.#biases(settings.logitBias),
        seed: settings.seed ?? Math.floor(Math.random() * 2 ** 32),
      },
      stop: typeof settings.stop === 'string' ? [settings.stop] : settings.stop,
      ignoreEos: settings.ignoreEos,
      continues,
      signal,
    }
    return generate(this.#sequencer, request)
  }

  #biases(given: ChatSettings['logitBias']): [id: number, value: number][] {
    const biases = Object.entries(given).map(([id, value]): [number, number] => [Number(id), value])
    const wrong = biases.find(([id]) => id >= this.config.vocabSize)
    if (wrong)
      fail({
        code: 'bad-token',
        message: `option logitBias: token ${wrong[0]} is outside the vocabulary of ${this.config.vocabSize}`,
        help: 'ids count from 0; `model.tokenizer.encode(text)` gives those of a text',
      })
    return biases
  }

  #alive(): void {
    if (this.#disposal)
      fail({
        code: 'disposed',
        message: 'the model was disposed of',
        facts: [['model', this.path]],
        help: 'compile it again',
      })
  }

  /** Ends running generations behind their present step, then gives everything back; again is no more than waiting. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release()
    return this.#disposal
  }

  async #release(): Promise<void> {
    await this.#sequencer.batch.idle()
    await releaseAll(this.#parts.owned)
  }

  /** The same as leaving an `await using` block. */
  dispose(): Promise<void> {
    return this[Symbol.asyncDispose]()
  }
}
