// The face of a tokenizer: text to token ids and back, whatever file it came from.

export interface EncodeOptions {
  /**
   * Put the model's beginning-of-sequence id first. Default: as the model says (`addsBos`), together with all that its
   * file puts around a text, such as a closing eos; `false` adds none of that.
   */
  readonly addBos?: boolean | undefined
  /** recognise special tokens such as `<|eos|>` in the text (default false: they are plain text) */
  readonly parseSpecial?: boolean | undefined
}

export interface DecodeOptions {
  /** show special tokens as their text (default false: they vanish) */
  readonly special?: boolean
  /** the ids continue earlier text, so that a leading space of a SentencePiece model is kept (default false) */
  readonly continues?: boolean
}

/** Turns ids that arrive one by one into text. Every string it returns is whole characters. */
export interface StreamDecoder {
  /** the text that this id completes; may be empty while a character is incomplete */
  push(id: number): string
  /** what remains: U+FFFD for a character that never became whole */
  end(): string
}

/** Where a special token's text stands in a string, in UTF-16 units. */
export interface SpecialMatch {
  readonly start: number
  readonly end: number
  /** as start and end, with the white space around it that the token swallows */
  readonly from: number
  readonly to: number
  readonly id: number
}

/** Text that is never parsed for special tokens, or one token by its id. */
export type Segment = string | number

export interface Tokenizer {
  /** ids run from 0 to vocabSize - 1; some may be unused */
  readonly vocabSize: number
  readonly bosId: number | undefined
  /** ids after which a generation ends, the eos first */
  readonly eosIds: readonly number[]
  readonly unkId: number | undefined
  /** does `encode` put bosId first when not told? */
  readonly addsBos: boolean
  /** Jinja source, where the model has one */
  readonly chatTemplate: string | undefined
  /** Ids of `text`, which is as long as it takes: see `encodeAsync`. */
  encode(text: string, options?: EncodeOptions): number[]
  /** As `encode`, in slices of some milliseconds between which the event loop turns. */
  encodeAsync(text: string, options?: EncodeOptions): Promise<number[]>
  /** Encodes text whose special tokens the caller placed; adjacent strings are joined first. */
  encodeSegments(segments: readonly Segment[], options?: Pick<EncodeOptions, 'addBos'>): number[]
  encodeSegmentsAsync(segments: readonly Segment[], options?: Pick<EncodeOptions, 'addBos'>): Promise<number[]>
  /** Special tokens in `text`, from left to right, the longest where several begin. */
  findSpecials(text: string): SpecialMatch[]
  decode(ids: Iterable<number>, options?: DecodeOptions): string
  streamDecoder(options?: DecodeOptions): StreamDecoder
  /** the vocabulary's own spelling, e.g. `Ġthe` or `▁the`; throws for an id outside the vocabulary */
  idToPiece(id: number): string
  /** control tokens and the unknown token: shown only when asked, parsed only when asked */
  isSpecial(id: number): boolean
}
