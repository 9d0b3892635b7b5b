// The type numbers of GGUF: of metadata values and of tensors. Source: the GGUF specification (ggml, docs/gguf.md).
import { type QuantType, quantFormats } from '../../ir/quant.ts'
import type { Dtype } from '../../ir/type.ts'

/** Metadata value types, by number. */
export const valueTypes = [
  'u8',
  'i8',
  'u16',
  'i16',
  'u32',
  'i32',
  'f32',
  'bool',
  'string',
  'array',
  'u64',
  'i64',
  'f64',
] as const
export type GgufValueType = (typeof valueTypes)[number]

export const numericBytes = {
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  f32: 4,
  bool: 1,
  u64: 8,
  i64: 8,
  f64: 8,
} as const
export type GgufNumericType = keyof typeof numericBytes

/** Tensor types that we can hold, by number. */
export const tensorDtypes: ReadonlyMap<number, Dtype> = new Map<number, Dtype>([
  [0, 'f32'],
  [1, 'f16'],
  [24, 'i8'],
  [26, 'i32'],
  [30, 'bf16'],
  ...Object.entries(quantFormats).map(([name, { ggufId }]) => [ggufId, name as QuantType] as const),
])

/** Names of the other tensor types that files may have, for messages. */
export const foreignTensorTypes: Record<number, string> = {
  4: 'Q4_2 (removed from the format)',
  5: 'Q4_3 (removed from the format)',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  25: 'I16',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  31: 'Q4_0_4_4 (removed from the format)',
  32: 'Q4_0_4_8 (removed from the format)',
  33: 'Q4_0_8_8 (removed from the format)',
  34: 'TQ1_0',
  35: 'TQ2_0',
  36: 'IQ4_NL_4_4 (removed from the format)',
  37: 'IQ4_NL_4_8 (removed from the format)',
  38: 'IQ4_NL_8_8 (removed from the format)',
  39: 'MXFP4',
}
