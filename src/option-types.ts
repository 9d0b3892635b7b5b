// The options of the script API as an editor shows them. The schemas of options.ts check the same at run time; the types are
// held equal there, and the words by test/src/options.test.ts.
import type { KernelSpec } from '../codegen/kernel.ts'
import type { OptLevel, PassRecord } from '../passes/pass.ts'
import type { OwnPasses } from '../passes/pipeline.ts'
import type { CompiledKernel, CompileProgress } from '../runtime/compile/service.ts'
import type { LoadProgress } from '../runtime/execute/weights.ts'
import type { Device } from './api/device.ts'
import type { ModelInfo } from './api/inspect.ts'
import type { ModelPlan } from './api/plan.ts'
import type { StepKind } from './engine/programs.ts'

/** Which kernels a model becomes: options that compiling here and ahead of time share. */
export interface KernelOptions {
  /** Fusion: 0 none … 3 all. Default: 3. */
  readonly optLevel?: OptLevel | undefined
  /** Tokens of the KV cache. Default: what the model was made for, at most 8192. */
  readonly context?: number | undefined
  /**
   * Dtype of the KV cache (q8_0: 8 bits and a scale of 32; f8: e4m3). Default: f16 on a GPU, f32 on the CPU.
   */
  readonly kvDtype?: 'f32' | 'f16' | 'bf16' | 'q8_0' | 'f8' | undefined
  /** Dtype of activations between kernels. Default: 'f32'. */
  readonly activations?: 'f32' | 'f16' | 'bf16' | undefined
  /** Tokens a page of the KV cache. Default: 16. */
  readonly pageSize?: number | undefined
  /** Generations that share decode steps, each with a whole context of KV cache, 1 to 32; more wait. Default: 1. */
  readonly maxBatch?: number | undefined
  /** Prompt tokens a step. Default: 256. */
  readonly chunk?: number | undefined
  /** Decode steps as a launch a kernel, or as one launch whose blocks stay. Default: 'kernels'. */
  readonly step?: 'kernels' | 'persistent' | undefined
  /** Threads of a block of a persistent step. Default: as the device likes. */
  readonly stepBlock?: number | undefined
  /**
   * Passes of your own (rewritePass), before ours that fuse; or a function of ours that gives all. Default: [].
   */
  readonly passes?: OwnPasses | undefined
  /** Kernels of your own (defineKernel), preferred to ours, the first most. Default: []. */
  readonly kernels?: readonly KernelSpec[] | undefined
  /** Run the graph before and after every pass through the reference executor, on random inputs. Default: false. */
  readonly checkPasses?: boolean | undefined
  /** Folder for source, object and log of every kernel. Default: none. */
  readonly saveTemps?: string | undefined
  /** An AbortSignal: ends the call, which rejects with the signal’s reason. Default: none. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `compile`. */
export interface CompileOptions extends KernelOptions, CompileEvents {
  /**
   * Auto, amd:0, nvidia:0, gfx1100, sm_90, a UUID, host, reference; or an open device, which stays the caller’s.
   * Default: 'auto'.
   */
  readonly device?: string | Device | undefined
  /** Check each kernel once on the device against its reference. Default: false. */
  readonly selfCheck?: boolean | undefined
  /** Replay decode steps as one captured graph where that proves right. Default: true. */
  readonly replay?: boolean | undefined
  /** Jinja text to lay out conversations by, instead of the model’s own. Default: the model’s own. */
  readonly chatTemplate?: string | undefined
}

/** What happens while a model is compiled and loaded; each may be called many times. */
export interface CompileEvents {
  /** Called when the model’s headers are read, before anything is compiled or loaded; what it throws ends the call. */
  readonly onModel?: ((model: ModelInfo) => void) | undefined
  /** Called when the device is open. */
  readonly onDevice?: ((device: Device) => void) | undefined
  /** Called after each pass over a step’s graph. */
  readonly onPass?: ((kind: StepKind, record: PassRecord) => void) | undefined
  /** Called when graphs and programs can be asked for, nothing is compiled yet. */
  readonly onPlan?: ((plan: ModelPlan) => void) | undefined
  /** Called when a kernel comes from the compiler or the cache; later too, when a step is first needed. */
  readonly onKernels?: ((progress: CompileProgress) => void) | undefined
  /** Called when a program’s kernels are there, before they are loaded. */
  readonly onCompiled?: ((kernels: readonly CompiledKernel[]) => void) | undefined
  /** Called while weights are loaded. */
  readonly onWeights?: ((progress: LoadProgress) => void) | undefined
  /** Called with things worth knowing that are no errors. */
  readonly onNote?: ((note: string) => void) | undefined
}

/** Options of `chat`, and all but two of `generate`. */
export interface SamplingOptions {
  /** Tokens to generate at most. Default: 256. */
  readonly maxTokens?: number | undefined
  /** 0, the default: always the likeliest token. At most 100. */
  readonly temperature?: number | undefined
  /** Keep the k likeliest tokens; 0: all. Default: as the model says, else 0. */
  readonly topK?: number | undefined
  /** Keep the likeliest tokens up to this probability. Default: as the model says, else 1. */
  readonly topP?: number | undefined
  /** Keep tokens at least this fraction as likely as the likeliest. Default: as the model says, else 0. */
  readonly minP?: number | undefined
  /**
   * Divide positive logits of tokens among the last repeatLastN, multiply negative ones. Default: as the model says,
   * else 1.
   */
  readonly repeatPenalty?: number | undefined
  /** Tokens that repeatPenalty looks back, prompt included; 0: none, -1: all. Default: 64. */
  readonly repeatLastN?: number | undefined
  /**
   * Take this off the logit of a token for each time that it was generated; the prompt does not count. Default: 0.
   */
  readonly frequencyPenalty?: number | undefined
  /** Take this off the logit of every token that was generated; the prompt does not count. Default: 0. */
  readonly presencePenalty?: number | undefined
  /** Token id → number from -100 to 100 that is added to its logit, for at most 256 tokens. Default: {}. */
  readonly logitBias?: Readonly<Record<string, number>> | undefined
  /** The same seed gives the same text. Default: random. */
  readonly seed?: number | undefined
  /** Texts that end the generation, at most 16. Default: []. */
  readonly stop?: string | readonly string[] | undefined
  /** Go on behind tokens that end a text. Default: false. */
  readonly ignoreEos?: boolean | undefined
  /** An AbortSignal: ends the generation behind the current step; the result keeps what was made. Default: none. */
  readonly signal?: AbortSignal | undefined
}

/** Options of `generate`. */
export interface GenerateOptions extends SamplingOptions {
  /** Begin a text with the beginning-of-sequence token. Default: as the model says. */
  readonly addBos?: boolean | undefined
  /** Special tokens that a text spells, such as `<|eos|>`, are tokens; else they are plain text. Default: false. */
  readonly parseSpecial?: boolean | undefined
}

/** Options of `chat`. */
export interface ChatOptions extends SamplingOptions {
  /** Functions that the model may call, as JSON schemas in the form of the OpenAI API. Default: []. */
  readonly tools?: readonly object[] | undefined
  /** Jinja text to lay out the conversation by. Default: the model’s own. */
  readonly chatTemplate?: string | undefined
  /** Further variables of the template by name: `{ enable_thinking: false }`. Default: {}. */
  readonly chatTemplateKwargs?: Readonly<Record<string, unknown>> | undefined
  /** End the prompt with the opening of the assistant’s turn. Default: true. */
  readonly addGenerationPrompt?: boolean | undefined
}

/** Options of `logits`. */
export interface LogitsOptions {
  /** Logits behind each token, not behind the last alone. Default: false. */
  readonly all?: boolean | undefined
  /** An AbortSignal: ends the call, which rejects with the signal’s reason. Default: none. */
  readonly signal?: AbortSignal | undefined
}
