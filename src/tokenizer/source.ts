// What a loader hands to the tokenizer: either the paths of a Hugging Face folder's files, or the `tokenizer.ggml.*`
// metadata of a GGUF file. Plain data, so that loaders need nothing else from here.

/** A Hugging Face tokenizer: paths of files that `createTokenizer` reads. */
export interface HuggingFaceTokenizerSource {
  readonly kind: 'huggingface'
  /** path of tokenizer.json */
  readonly tokenizerJson: string
  /** path of tokenizer_config.json */
  readonly tokenizerConfig?: string | undefined
  /** special_tokens_map.json: role (`eos_token`) → text of the token */
  readonly specialTokens?: Readonly<Record<string, string>> | undefined
  /** text of chat_template.jinja, which wins over the one in tokenizer_config.json */
  readonly chatTemplate?: string | undefined
}

/** A GGUF tokenizer: metadata as the file has it, ids index `tokens`. */
export interface GgufTokenizerSource {
  readonly kind: 'gguf'
  /** tokenizer.ggml.model: byte-level BPE (`gpt2`) or SentencePiece with scores (`llama`) */
  readonly model: 'gpt2' | 'llama'
  /** tokenizer.ggml.pre: names the pre-tokenizer of a `gpt2` model; unused by `llama` */
  readonly pre: string
  readonly tokens: readonly string[]
  /** SentencePiece scores, one a token; higher merges first */
  readonly scores?: Float32Array | undefined
  /** 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte; one a token */
  readonly tokenTypes?: Int32Array | undefined
  /** byte-level BPE merges, `left right`, first merges first */
  readonly merges?: readonly string[] | undefined
  readonly bos?: number | undefined
  readonly eos?: number | undefined
  readonly unk?: number | undefined
  /** further ids that end a turn (eot, eom), or that fill-in-the-middle training put between files, beside `eos` */
  readonly eot?: readonly number[] | undefined
  readonly addBos?: boolean | undefined
  readonly addEos?: boolean | undefined
  /** SentencePiece: put a space before the text (default true) */
  readonly addSpacePrefix?: boolean | undefined
  readonly chatTemplate?: string | undefined
}

export type TokenizerSource = HuggingFaceTokenizerSource | GgufTokenizerSource
