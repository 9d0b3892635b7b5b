// operands.h: what every matmul kernel shares: the types of its operands, its shape, and what becomes of a finished sum.
//
//   columns of y    N; row n of w makes column n. With the swiglu epilogue w has 2N rows: N of gate, then N of up
//   y[t,n]          none    s + bias[n]
//                   add     s + bias[n] + residual[t,n]
//                   swiglu  silu(s) · s', where s' is the sum of row n + N
//   numerics        sums and epilogue in f32; one rounding to y's type
#pragma once

#ifndef P_K
#define P_K 512  // elements of a row of x and of a row of w; for quantised weights a whole number of blocks
#endif
#ifndef P_N
#define P_N 512  // columns of y
#endif
#ifndef P_X
#define P_X f32_t  // element types: f32_t, f16_t or bf16_t
#endif
#ifndef P_Y
#define P_Y f32_t
#endif
#ifndef P_BIAS_ELEM
#define P_BIAS_ELEM f32_t
#endif
#ifndef P_RESIDUAL
#define P_RESIDUAL f32_t
#endif
#ifndef P_EPILOGUE
#define P_EPILOGUE 0  // 0 none, 1 add, 2 swiglu
#endif
#ifndef P_BIAS
#define P_BIAS 0  // 1: there is a bias
#endif

#include "prelude/block.h"
#include "weight.h"

typedef P_X x_t;
typedef P_Y y_t;
typedef P_BIAS_ELEM bias_t;
typedef P_RESIDUAL residual_t;

constexpr int K = P_K, N = P_N;
constexpr bool HAS_BIAS = P_BIAS != 0, ADDS = P_EPILOGUE == 1, SWIGLU = P_EPILOGUE == 2;
constexpr int PARTS = SWIGLU ? 2 : 1;  // weight rows behind one column of y
constexpr bool QUANT = weight_t::block_elems > 1;
static_assert(K % weight_t::block_elems == 0, "a row of w is a whole number of blocks");

template <class W> struct elements_of;
template <> struct elements_of<f32_w> { typedef f32_t type; };
template <> struct elements_of<f16_w> { typedef f16_t type; };
template <> struct elements_of<bf16_w> { typedef bf16_t type; };

/** The last n < M elements of a row of w, from element k; the rest is 0. Rows of blocks have no such tail. */
template <int M, class W = weight_t> DEVICE vec<float, M> weight_tail(const u8* row, int k, int n) {
  if constexpr (QUANT) return splat<M>(0.f);
  else return load_tail<M>((const typename elements_of<W>::type*)row + k, n);
}

/** Operands of one call; those that are not there are null. */
struct matmul_call {
  y_t* y;
  const x_t* x;
  const u8* w;
  const bias_t* bias;
  const residual_t* residual;
  i32 tokens;
};

DEVICE const u8* weight_row(const matmul_call& call, int row) { return call.w + size_t(row) * weight_t::row_bytes(K); }
DEVICE const x_t* x_row(const matmul_call& call, int t) { return call.x + size_t(t) * K; }

/** Writes y[t, n … n+M-1], as far as there are columns, from the sums of their weight rows. */
template <int M>
DEVICE void finish(const matmul_call& call, int t, int n, vec<float, M> sum, const vec<float, M>& up) {
  const size_t at = size_t(t) * N + n;
  const int columns = M == 1 ? 1 : N - n;
  if constexpr (HAS_BIAS) sum += load_tail<M>(call.bias + n, columns);
  if constexpr (SWIGLU) sum = sum / (1.f + exp(-sum)) * up;
  if constexpr (ADDS) sum += load_tail<M>(call.residual + at, columns);
  store_tail<M>(call.y + at, sum, columns);
}
