// Every op on small operands: what its types are, and data that makes sense for it. One entry an op; the test fails for
// an op that has none.

import { uniforms } from '../../ir/graph-data.ts'
import type { HostTensor } from '../../ir/host-tensor.ts'
import { hostTensor } from '../../ir/host-tensor.ts'
import type { Bindings, Dtype } from '../../ir/type.ts'

export interface OpCase {
  readonly op: string
  /** operand → `f32[T, 8]`, or `state f32[…]` */
  readonly types: Readonly<Record<string, string>>
  readonly attrs?: Readonly<Record<string, unknown>>
  /** values of operands that cannot be any numbers */
  readonly values?: Readonly<Record<string, readonly number[]>>
  /** the result types; one for an op with one result */
  readonly gives: string | readonly string[]
}

export const bindings: Bindings = { T: 3, R: 2, L: 6, P: 5, M: 2 }

const paged = { positions: 'i32[T]', seq: 'i32[T]', page_table: 'i32[R, M]' }
const places = { positions: [4, 5, 1], seq: [0, 0, 1], page_table: [3, 1, 0, 4] }
const past = { positions: [5, 2], page_table: [3, 1, 0, 4], history: Array.from({ length: 20 }, (_, i) => i % 9) }
const ropeAttrs = { theta: 100, dims: 4, style: 'half-split' }
const elementwise = (op: string, attrs: Record<string, unknown> = {}): OpCase => ({
  op,
  types: { x: 'f16[T, 5]' },
  attrs,
  gives: 'f16[T, 5]',
})

/** Logits, what changes them, and how tokens are drawn from them. */
const penalised = {
  types: {
    logits: 'f32[R, 9]',
    history: 'state i32[P, 1, 4, 1]',
    positions: 'i32[R]',
    page_table: 'i32[R, M]',
    penalty: 'f32[R]',
    window: 'i32[R]',
    from: 'i32[R]',
    frequency: 'f32[R]',
    presence: 'f32[R]',
    ids: 'i32[R, 4]',
    values: 'f32[R, 4]',
    temperature: 'f32[R]',
    top_k: 'i32[R]',
    top_p: 'f32[R]',
    min_p: 'f32[R]',
    seed: 'u32[R]',
  },
  values: {
    ...past,
    ...{ penalty: [1.3, 2], window: [3, -1], from: [2, 0], ids: [3, 8, 3, -1, 9, -1, 2, 2] },
    ...{ temperature: [0, 0.7], top_k: [0, 5], top_p: [1, 0.9], min_p: [0, 0.05], seed: [1, 2 ** 32 - 1] },
  },
}

export const opCases: readonly OpCase[] = [
  elementwise('silu'),
  elementwise('sigmoid'),
  elementwise('tanh'),
  elementwise('gelu'),
  elementwise('gelu', { approximate: 'tanh' }),
  elementwise('softcap', { cap: 2 }),
  elementwise('scale', { by: -0.5 }),
  elementwise('softmax'),
  elementwise('contiguous'),
  elementwise('slice', { from: 0, to: 5 }),
  { op: 'contiguous', types: { x: 'bf16[T, 5]' }, attrs: { dtype: 'f32' }, gives: 'f32[T, 5]' },
  { op: 'contiguous', types: { x: 'i32[T, 5]' }, gives: 'i32[T, 5]' },
  { op: 'add', types: { a: 'f16[T, 2, 4]', b: 'f32[2, 4]' }, gives: 'f16[T, 2, 4]' },
  { op: 'add', types: { a: 'f32[T, 4]', b: 'f32[]' }, gives: 'f32[T, 4]' },
  { op: 'mul', types: { a: 'f32[T, 4]', b: 'f32[T, 4]' }, gives: 'f32[T, 4]' },
  { op: 'increment', types: { x: 'i32[R]' }, attrs: { by: 2 }, gives: 'i32[R]' },
  {
    op: 'publish',
    types: { ring: 'state i32[4, R, 2]', token: 'i32[R]', positions: 'i32[R]', step: 'i32[1]' },
    gives: ['state i32[4, R, 2]', 'i32[R]', 'i32[1]'],
  },
  { op: 'matmul', types: { x: 'f32[T, 6]', w: 'f16[4, 6]' }, gives: 'f32[T, 4]' },
  {
    op: 'matmul',
    types: { x: 'bf16[T, 32]', w: 'q8_0[4, 32]', bias: 'f32[4]' },
    attrs: { dtype: 'f32' },
    gives: 'f32[T, 4]',
  },
  { op: 'embed', types: { ids: 'i32[T]', table: 'q4_0[7, 32]' }, values: { ids: [0, 6, 3] }, gives: 'f32[T, 32]' },
  {
    op: 'embed',
    types: { ids: 'i32[T]', table: 'f16[7, 4]' },
    attrs: { dtype: 'bf16' },
    values: { ids: [1, 1, 0] },
    gives: 'bf16[T, 4]',
  },
  { op: 'gather_rows', types: { x: 'f16[T, 2, 3]', rows: 'i32[R]' }, values: { rows: [2, 0] }, gives: 'f16[R, 2, 3]' },
  { op: 'gather_rows', types: { x: 'i32[T]', rows: 'i32[R]' }, values: { rows: [1, 1] }, gives: 'i32[R]' },
  { op: 'concat_rows', types: { a: 'f32[2, 3]', b: 'f32[1, 3]' }, gives: 'f32[3, 3]' },
  { op: 'concat_rows', types: { a: 'q8_0[2, 32]', b: 'q8_0[1, 32]', c: 'q8_0[4, 32]' }, gives: 'q8_0[7, 32]' },
  { op: 'rms_norm', types: { x: 'f16[T, 2, 5]', w: 'f32[5]' }, attrs: { eps: 1e-5 }, gives: 'f16[T, 2, 5]' },
  {
    op: 'layer_norm',
    types: { x: 'f32[T, 5]', w: 'f32[5]', bias: 'f16[5]' },
    attrs: { eps: 1e-5 },
    gives: 'f32[T, 5]',
  },
  {
    op: 'rope',
    types: { x: 'f32[T, 2, 6]', positions: 'i32[T]', factors: 'f32[2]' },
    attrs: ropeAttrs,
    values: places,
    gives: 'f32[T, 2, 6]',
  },
  {
    op: 'rope',
    types: { x: 'bf16[T, 2, 4]', positions: 'i32[T]' },
    attrs: { ...ropeAttrs, style: 'interleaved' },
    values: places,
    gives: 'bf16[T, 2, 4]',
  },
  {
    op: 'kv_append',
    types: { cache: 'state f16[P, 2, 4, 3]', x: 'f32[T, 2, 3]', ...paged },
    values: places,
    gives: 'state f16[P, 2, 4, 3]',
  },
  {
    op: 'kv_append',
    types: { cache: 'state f8_e4m3[P, 2, 4, 3]', x: 'f32[T, 2, 3]', ...paged },
    values: places,
    gives: 'state f8_e4m3[P, 2, 4, 3]',
  },
  {
    op: 'kv_append',
    types: { cache: 'state i32[P, 1, 4, 1]', x: 'i32[T, 1, 1]', ...paged },
    values: places,
    gives: 'state i32[P, 1, 4, 1]',
  },
  {
    op: 'kv_read',
    types: { cache: 'state f16[P, 2, 4, 3]', page_table: 'i32[R, M]' },
    attrs: { dtype: 'bf16' },
    values: { page_table: [3, 1, 0, -1] },
    gives: 'bf16[R, L, 2, 3]',
  },
  { op: 'repeat_kv', types: { x: 'f32[R, L, 2, 3]' }, attrs: { groups: 3 }, gives: 'f32[R, L, 6, 3]' },
  {
    op: 'qk_matmul',
    types: { q: 'f32[T, 2, 3]', k: 'f16[R, L, 2, 3]', seq: 'i32[T]' },
    values: places,
    gives: 'f32[T, 2, L]',
  },
  {
    op: 'causal_mask',
    types: { x: 'f32[T, 2, L]', positions: 'i32[T]' },
    attrs: { window: 2 },
    values: places,
    gives: 'f32[T, 2, L]',
  },
  {
    op: 'pv_matmul',
    types: { p: 'f32[T, 2, L]', v: 'f16[R, L, 2, 3]', seq: 'i32[T]' },
    attrs: { dtype: 'f16' },
    values: places,
    gives: 'f16[T, 2, 3]',
  },
  { op: 'reshape', types: { x: 'f32[T, 6]' }, attrs: { shape: [2, 'T', 3] }, gives: 'f32[2, T, 3]' },
  { op: 'transpose', types: { x: 'i32[T, 2, 4]' }, attrs: { perm: [2, 0, 1] }, gives: 'i32[4, T, 2]' },
  { op: 'argmax', types: { x: 'f16[R, 9]' }, gives: 'i32[R]' },
  { op: 'topk', types: { x: 'f32[R, 9]' }, attrs: { k: 3 }, gives: ['f32[R, 3]', 'i32[R, 3]'] },
  {
    op: 'repeat_penalty',
    types: {
      logits: 'f32[R, 9]',
      history: 'state i32[P, 1, 4, 1]',
      positions: 'i32[R]',
      page_table: 'i32[R, M]',
      penalty: 'f32[R]',
      window: 'i32[R]',
    },
    values: { ...past, window: [3, -1] },
    gives: 'f32[R, 9]',
  },
  {
    op: 'frequency_penalty',
    types: {
      logits: 'f16[R, 9]',
      history: 'state i32[P, 1, 4, 1]',
      positions: 'i32[R]',
      page_table: 'i32[R, M]',
      from: 'i32[R]',
      frequency: 'f32[R]',
      presence: 'f32[R]',
    },
    values: { ...past, from: [2, 0] },
    gives: 'f16[R, 9]',
  },
  {
    op: 'logit_bias',
    types: { logits: 'f32[R, 9]', ids: 'i32[R, 4]', values: 'f32[R, 4]' },
    values: { ids: [3, 8, 3, -1, 9, -1, 2, 2] },
    gives: 'f32[R, 9]',
  },
  {
    op: 'sample',
    types: {
      logits: 'f32[R, 9]',
      temperature: 'f32[R]',
      top_k: 'i32[R]',
      top_p: 'f32[R]',
      min_p: 'f32[R]',
      seed: 'u32[R]',
      positions: 'i32[R]',
    },
    values: {
      temperature: [0, 0.7],
      top_k: [0, 5],
      top_p: [1, 0.9],
      min_p: [0, 0.05],
      seed: [1, 2 ** 32 - 1],
      positions: [5, 2],
    },
    gives: 'i32[R]',
  },
  { op: 'penalised_sample', ...penalised, gives: 'i32[R]' },
  {
    op: 'penalised_publish',
    types: { ...penalised.types, ring: 'state i32[4, R, 2]', step: 'i32[1]' },
    values: penalised.values,
    gives: ['i32[R]', 'state i32[4, R, 2]', 'i32[R]', 'i32[1]'],
  },
  {
    op: 'embed_append',
    types: { ids: 'i32[T]', table: 'q4_0[7, 32]', history: 'state i32[P, 1, 4, 1]', ...paged },
    attrs: { dtype: 'f16' },
    values: { ...places, ids: [0, 6, 3] },
    gives: ['f16[T, 32]', 'state i32[P, 1, 4, 1]'],
  },
  { op: 'swiglu', types: { gate: 'f16[T, 4]', up: 'f16[T, 4]' }, gives: 'f16[T, 4]' },
  {
    op: 'matmul_add',
    types: { x: 'f32[T, 6]', w: 'f16[4, 6]', residual: 'f32[T, 4]', bias: 'f32[4]' },
    gives: 'f32[T, 4]',
  },
  { op: 'matmul_swiglu', types: { x: 'f32[T, 6]', w: 'f16[8, 6]' }, gives: 'f32[T, 4]' },
  {
    op: 'rms_norm_matmul',
    types: { x: 'bf16[T, 32]', norm: 'f32[32]', w: 'q8_0[4, 32]', bias: 'f32[4]' },
    attrs: { eps: 1e-5, dtype: 'f32' },
    gives: 'f32[T, 4]',
  },
  {
    op: 'rms_norm_matmul_swiglu',
    types: { x: 'f32[T, 6]', norm: 'f32[6]', w: 'f16[8, 6]' },
    attrs: { eps: 1e-5 },
    gives: 'f32[T, 4]',
  },
  {
    op: 'add_rms_norm',
    types: { a: 'f16[T, 4]', b: 'f16[T, 4]', w: 'f32[4]' },
    attrs: { eps: 1e-5 },
    gives: ['f16[T, 4]', 'f16[T, 4]'],
  },
  {
    op: 'scale_mask_softmax',
    types: { x: 'f32[T, 2, L]', positions: 'i32[T]' },
    attrs: { by: 0.5 },
    values: places,
    gives: 'f32[T, 2, L]',
  },
  {
    op: 'rope_kv_append',
    types: {
      q: 'f16[T, 4, 6]',
      k: 'f16[T, 2, 6]',
      v: 'f16[T, 2, 6]',
      k_cache: 'state f16[P, 2, 4, 6]',
      v_cache: 'state f16[P, 2, 4, 6]',
      ...paged,
      factors: 'f32[2]',
    },
    attrs: ropeAttrs,
    values: places,
    gives: ['f16[T, 4, 6]', 'state f16[P, 2, 4, 6]', 'state f16[P, 2, 4, 6]'],
  },
  {
    op: 'rope_attention',
    types: {
      q: 'f16[T, 4, 6]',
      k: 'f16[T, 2, 6]',
      v: 'f16[T, 2, 6]',
      k_cache: 'state f16[P, 2, 4, 6]',
      v_cache: 'state f16[P, 2, 4, 6]',
      ...paged,
      factors: 'f32[2]',
    },
    attrs: { ...ropeAttrs, scale: 0.4, window: 4, dtype: 'f16' },
    values: places,
    gives: ['f16[T, 4, 6]', 'state f16[P, 2, 4, 6]', 'state f16[P, 2, 4, 6]'],
  },
  {
    op: 'rope_attention',
    types: {
      q: 'f16[T, 4, 6]',
      k: 'f16[T, 2, 6]',
      v: 'f16[T, 2, 6]',
      k_cache: 'state f16[P, 2, 4, 6]',
      v_cache: 'state f16[P, 2, 4, 6]',
      ...paged,
      q_norm: 'f32[6]',
      k_norm: 'bf16[6]',
    },
    attrs: { ...ropeAttrs, scale: 0.4, eps: 0.01 },
    values: places,
    gives: ['f32[T, 4, 6]', 'state f16[P, 2, 4, 6]', 'state f16[P, 2, 4, 6]'],
  },
  {
    op: 'attention',
    types: { q: 'f16[T, 4, 6]', k_cache: 'state f16[P, 2, 4, 6]', v_cache: 'state f16[P, 2, 4, 6]', ...paged },
    attrs: { scale: 0.4, window: 4, dtype: 'f16' },
    values: places,
    gives: 'f16[T, 4, 6]',
  },
]

/** An operand of these dims: the values given, else numbers of about one. */
export function operand(
  dtype: Dtype,
  shape: readonly number[],
  values: readonly number[] | undefined,
  seed: number,
): HostTensor {
  const random = uniforms(seed)
  const n = shape.reduce((a, b) => a * b, 1)
  return hostTensor(dtype, shape, values?.slice(0, n) ?? Array.from({ length: n }, () => random() * 4 - 2))
}
