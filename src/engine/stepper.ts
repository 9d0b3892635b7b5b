// Stepper: how the engine runs steps of a model, on a device or on the reference executor. It knows tokens, positions and
// pages; it knows no text and no stop conditions.

/** Settings of the sampler, as ops of the graph read them. */
export interface SamplerSettings {
  /** 0: greedy */
  readonly temperature: number
  /** keep the k most likely; 0: all */
  readonly topK: number
  /** keep the smallest set whose probability reaches this; 1: all */
  readonly topP: number
  /** keep tokens at least this fraction as likely as the likeliest; 0: all */
  readonly minP: number
  /** divides the logits of tokens among the last `repeatLastN`; 1: none */
  readonly repeatPenalty: number
  /** tokens that repeatPenalty looks back, prompt included; 0: none, -1: all */
  readonly repeatLastN: number
  /** taken off the logit of a token for each time that it was generated; 0: none */
  readonly frequencyPenalty: number
  /** taken off the logit of a token that was generated; 0: none */
  readonly presencePenalty: number
  /** tokens of the prompt: those behind them were generated */
  readonly promptTokens: number
  /** added to the logits of tokens, at most `biasSlots` pairs of id and value */
  readonly logitBias: readonly (readonly [id: number, value: number])[]
  /** u32: the same seed gives the same text */
  readonly seed: number
}

/** Always the likeliest token. */
export const greedy: SamplerSettings = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repeatPenalty: 1,
  repeatLastN: 64,
  frequencyPenalty: 0,
  presencePenalty: 0,
  promptTokens: 0,
  logitBias: [],
  seed: 0,
}

/** Consecutive tokens of one sequence. */
export interface StepInput {
  readonly tokens: readonly number[]
  /** of the first token */
  readonly position: number
  /** pages of the sequence, in order */
  readonly pages: readonly number[]
  readonly sampler: SamplerSettings
}

/** Tokens one after the other, each sampled behind the one before. */
export interface Decoding {
  /** by `stop`, or because other steps needed the device */
  readonly stopped: boolean
  /** the next token; the device may already work on later ones */
  next(): Promise<number>
  /** waits until the device is done with what was started in advance */
  stop(): Promise<void>
}

/** As Decoding, for several sequences in step. */
export interface BatchDecoding {
  readonly stopped: boolean
  /** the next token of each sequence, in the order they were given; the device may already work on later ones */
  next(): Promise<readonly number[]>
  /** stops; gives what was started in advance, step by step */
  finish(): Promise<readonly (readonly number[])[]>
  stop(): Promise<void>
}

export interface Stepper extends Disposable {
  /** most tokens of one step */
  readonly chunk: number
  /** tokens a page */
  readonly pageSize: number
  /** pages of the cache */
  readonly pages: number
  /** most sequences of a `decodeBatch` */
  readonly maxBatch: number
  /** tokens join the cache, nothing comes back */
  prefill(step: StepInput): Promise<void>
  /** as prefill, and the token sampled behind the last */
  sample(step: StepInput): Promise<number>
  /** starts behind `step.tokens`, which is the one token sampled last; at most `steps` tokens will be asked for */
  decode(step: StepInput, steps: number): Decoding
  /** the same for up to `maxBatch` sequences, each with one token; at most `count` tokens of each will be asked for */
  decodeBatch(steps: readonly StepInput[], count: number): BatchDecoding
  /** logits f32[V] behind the last token of the step */
  logits(step: StepInput): Promise<Float32Array>
  /** logits f32[tokens · V] behind each token */
  allLogits(step: StepInput): Promise<Float32Array>
}
