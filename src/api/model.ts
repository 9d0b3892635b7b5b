// Model: a compiled checkpoint, ready to generate.
import { Diagnostic, fail } from '../../ir/diagnostic.ts'
import { at, callSite } from '../call-site.ts'
import { Batch } from '../engine/batch.ts'
import {
  type GeneratedPiece,
  type GenerationRequest,
  type GenerationResult,
  generate,
  type Sequencer,
} from '../engine/generate.ts'
import { PageAllocator } from '../engine/page-allocator.ts'
import { score } from '../engine/score.ts'
import type { Stepper } from '../engine/stepper.ts'
import type { Checkpoint, GenerationDefaults } from '../loader/checkpoint.ts'
import type { ModelConfig } from '../loader/model-config.ts'
import {
  type ChatOptions,
  chatOptions,
  type GenerateOptions,
  type GenerateSettings,
  generateOptions,
  type LogitsOptions,
  logitsOptions,
  readOptions,
} from '../options.ts'
import type { ChatMessage } from '../tokenizer/chat-template.ts'
import { checkedTokenizer } from '../tokenizer/checked-tokenizer.ts'
import { encodeChat } from '../tokenizer/encode-chat.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { checkPlain, checkPrompt, checkTokenList, type Prompt } from './arguments.ts'
import type { Device } from './device.ts'
import { Generation } from './generation.ts'
import type { ModelPlan } from './plan.ts'

export interface ModelParts {
  readonly checkpoint: Checkpoint
  readonly device: Device
  readonly tokenizer: Tokenizer
  /** what lays out conversations: the caller's, else the model's own */
  readonly chatTemplate: string | undefined
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

export type { Prompt } from './arguments.ts'

/** What a generation takes of its options, whatever laid out the prompt. */
type RunSettings = Omit<GenerateSettings, 'addBos' | 'parseSpecial'>

export class Model implements AsyncDisposable {
  /** graphs before and after the passes, and what runs: `model.graph.print()` */
  readonly graph: ModelPlan
  readonly #parts: ModelParts
  readonly #sequencer: Sequencer
  #tokenizer: Tokenizer | undefined
  #disposal: Promise<void> | undefined

  /** @internal */
  constructor(parts: ModelParts) {
    this.#parts = parts
    this.graph = parts.plan
    this.#sequencer = {
      stepper: parts.stepper,
      pages: new PageAllocator(parts.stepper.pages),
      tokenizer: parts.tokenizer,
      vocabSize: parts.checkpoint.config.vocabSize,
      context: parts.plan.context,
      eosIds: new Set([...parts.tokenizer.eosIds, ...parts.checkpoint.config.eos, ...parts.checkpoint.generation.eos]),
      batch: new Batch(parts.stepper, () => this.#alive()),
    }
  }

  get device(): Device {
    return this.#parts.device
  }
  get tokenizer(): Tokenizer {
    this.#tokenizer ??= checkedTokenizer(this.#parts.tokenizer)
    return this.#tokenizer
  }
  get config(): ModelConfig {
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
  get generationDefaults(): GenerationDefaults {
    return this.#parts.checkpoint.generation
  }

  /** Jinja text that lays out conversations; undefined: the model was not made to chat */
  get chatTemplate(): string | undefined {
    return this.#parts.chatTemplate
  }

  /**
   * Continues a text. Errors: `bad-option` at once; `bad-argument`, `bad-token`, `context-full`, `disposed` when it runs.
   * @example for await (const piece of model.generate('Once')) process.stdout.write(piece.text)
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    const site = callSite(this.generate)
    const settings = readOptions(generateOptions, options)
    checkPrompt(prompt)
    return new Generation(site, async () => {
      const promptIds =
        typeof prompt === 'string'
          ? await this.#parts.tokenizer.encodeAsync(prompt, settings)
          : Array.from(prompt.tokens)
      return this.#run(promptIds, settings, true)
    })
  }

  /**
   * Answers a conversation, by the model's chat template. Errors: as `generate`, and `no-chat-template`, `bad-messages`,
   * `template-…`.
   * @example await model.chat([{ role: 'user', content: 'Hello' }], { maxTokens: 100 }).text()
   */
  chat(messages: readonly ChatMessage[], options: ChatOptions = {}): Generation {
    const site = callSite(this.chat)
    const settings = readOptions(chatOptions, options)
    const { tools, chatTemplate = this.chatTemplate, chatTemplateKwargs: variables, addGenerationPrompt } = settings
    checkPlain({ messages, tools, chatTemplateKwargs: variables })
    return new Generation(site, async () => {
      const layout = { chatTemplate: chatTemplate ?? '', tools, variables, addGenerationPrompt }
      return this.#run(await encodeChat(this.#parts.tokenizer, messages, layout), settings, false)
    })
  }

  /**
   * Logits f32[V] behind the last of `tokens`; with `all`, f32[tokens · V] behind each. Errors: `bad-argument`, `bad-token`,
   * `context-full`, `disposed`.
   * @example await model.logits(model.tokenizer.encode('Once upon a'))
   */
  logits(tokens: ArrayLike<number>, options: LogitsOptions = {}): Promise<Float32Array> {
    return at(callSite(this.logits), async () => {
      const settings = readOptions(logitsOptions, options)
      checkTokenList(tokens, 'tokens')
      this.#alive()
      return score(this.#sequencer, Array.from(tokens), settings)
    })
  }

  #run(
    promptIds: readonly number[],
    settings: RunSettings,
    continues: boolean,
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
      signal: settings.signal,
    }
    return generate(this.#sequencer, request)
  }

  #biases(given: RunSettings['logitBias']): [id: number, value: number][] {
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
    if (this.#disposal) throw this.#disposed()
  }

  #disposed(): Diagnostic {
    return new Diagnostic({
      code: 'disposed',
      message: 'the model was disposed of',
      facts: [['model', this.path]],
      help: 'await what runs before the model is disposed of, or compile it again',
    })
  }

  /** Ends running generations behind their present step, then gives everything back; again is no more than waiting. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposal ??= this.#release()
    return this.#disposal
  }

  async #release(): Promise<void> {
    this.#sequencer.pages.close(this.#disposed())
    await this.#sequencer.batch.idle()
    await releaseAll(this.#parts.owned)
  }

  /** The same as leaving an `await using` block. */
  dispose(): Promise<void> {
    return this[Symbol.asyncDispose]()
  }
}
