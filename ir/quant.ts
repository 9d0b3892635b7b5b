// The one table of block-quantised weight formats (layouts as in GGUF). `dequantize` is the reference decoder that
// every kernel's decoder is tested against.
// Source of the layouts: the GGUF specification and ggml's block structures.

export interface QuantFormat {
  /** elements of a row that share a block */
  readonly block: number
  /** bytes of a block in memory, little-endian */
  readonly bytes: number
  /** type id in a GGUF file */
  readonly ggufId: number
  /** layout, field by field */
  readonly doc: string
  /** decodes the block at byte `at` of `data` into `out[to .. to + block)` */
  readonly decode: (data: DataView, at: number, out: Float32Array | Float64Array, to: number) => void
}
