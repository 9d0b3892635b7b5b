// What a benchmark found: the object that `rocmforge bench --json` prints. docs/bench.md explains its fields; a change that
// readers could stumble over raises `version`.

export const resultVersion = 2

/** Kernel time of one kind of launch within a step. */
export interface KernelTime {
  /** as it is called in its source */
  readonly kernel: string
  /** the part of the model, without its layer: `ffn_down`; empty where launches and calls could not be matched */
  readonly part: string
  readonly blocks: number
  readonly threads: number
  /** launches in a step */
  readonly launches: number
  /** of all of them together, median of the steps */
  readonly ms: number
  /** read and written by one launch over its time; null where unknown */
  readonly gbPerSecond: number | null
}

/** Calls of one kind within a step that is one launch, a call each; µs by the device's clock. */
export interface StageTime {
  readonly kernel: string
  readonly part: string
  /** calls in a step */
  readonly stages: number
  /** from the first block that begins to the last that is done */
  readonly slowestUs: number
  /** of one block's own work */
  readonly meanUs: number
  /** of one block, from its own work's end until it goes on */
  readonly waitingUs: number
  /** barriers of all blocks behind such a call, and from the last that is done to the last that goes on */
  readonly barriers: number
  readonly barrierUs: number | null
}

export interface StepProfile {
  readonly kernels: readonly KernelTime[]
  readonly kernelsMs: number
  /** time of a step less that of its kernels; negative where kernels overlap or end events cost more than gaps */
  readonly gapsMs: number
  /** of a step that is one launch, where times were asked for and the device tells them */
  readonly stages?: readonly StageTime[]
}

export interface DecodeResult {
  readonly context: number
  readonly batch: number
  readonly tokens: number
  readonly rounds: number
  /** of the whole batch */
  readonly tokensPerSecond: number
  readonly tokensPerSecondPerRequest: number
  /** wall time of a step: a round from its start to its last token, over its tokens; median, least and most of the rounds */
  readonly ms: { readonly median: number; readonly min: number; readonly max: number }
  /** of single steps, by the device's clock, or null where it was not asked */
  readonly deviceMs: { readonly median: number; readonly p99: number; readonly mean: number } | null
  /** wall time between the tokens of consecutive steps: 99th percentile */
  readonly arrivalP99Ms: number
  /** Node's own time a step: from the arrival of a token to the end of the call that enqueues the next step; null where
   * a step is many calls */
  readonly hostMs: number | null
  readonly bytes: { readonly weights: number; readonly kv: number }
  /** (weights + kv) / wall time / read bandwidth */
  readonly mbu: number
  readonly profile: StepProfile | null
}

export interface PrefillResult {
  readonly tokens: number
  readonly chunk: number
  readonly rounds: number
  readonly tokensPerSecond: number
  readonly ms: { readonly median: number; readonly min: number; readonly max: number }
  readonly tflops: number
  readonly profile: StepProfile | null
}

export interface LoadResult {
  readonly batch: number
  /** tokens of KV cache of each sequence */
  readonly context: number
  readonly ms: number
  readonly kernels: { readonly total: number; readonly fromCache: number; readonly ms: number }
  readonly weights: { readonly bytes: number; readonly ms: number; readonly gbPerSecond: number }
  /** bytes of what was planned, and the most by which free memory shrank (host: the largest size of the process) */
  readonly memory: {
    readonly weights: number
    readonly kv: number
    readonly arena: number
    readonly planned: number
    peak: number
  }
}

export interface SkippedCase {
  readonly context: number
  readonly batch: number
  readonly reason: string
}

/** Enough to build the same model elsewhere. */
export interface ModelDims {
  readonly hidden: number
  readonly layers: number
  readonly ffn: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocab: number
  readonly tiedEmbeddings: boolean
  readonly qkNorm: boolean
  readonly attentionBias: boolean
  readonly ropeTheta: number
  readonly normEps: number
}

export interface BenchResult {
  readonly version: typeof resultVersion
  readonly rocmforge: string
  readonly node: string
  readonly device: { readonly id: string; readonly name: string; readonly target: string }
  readonly model: {
    readonly path: string
    readonly architecture: string
    /** weights are random, made on the device */
    readonly random: boolean
    readonly parameters: number
    readonly weightBytes: number
    /** dtype of most of them */
    readonly weights: string
    readonly dims: ModelDims
  }
  readonly options: Readonly<Record<string, unknown>>
  readBandwidth: { readonly gbPerSecond: number; readonly bytes: number } | null
  /** of the model's files, from the page cache; null for random weights */
  plainFileRead: { readonly gbPerSecond: number; readonly bytes: number } | null
  readonly loads: LoadResult[]
  readonly prefill: PrefillResult[]
  readonly decode: DecodeResult[]
  readonly skipped: SkippedCase[]
  /** notes of the runtime: replays that were refused and such */
  readonly notes: string[]
  interrupted: boolean
}
