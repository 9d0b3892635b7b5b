// dot.h: a few columns of y for a few tokens, as dot products of weight rows and rows of x by one wave. Each weight is
// loaded once for all the tokens, each x once for all the columns. A wave of one lane is a loop over SIMD registers.
//   needs P_CHUNK, P_DEPTH (see gemv.hip)
//   numerics  products summed in f32, in VEC or WAVE partial sums
#pragma once
#include "matmul/operands.h"

/** Elements that a lane takes at a time: SIMD registers where it is alone, else what aligned loads of x allow. */
constexpr int CHUNK = WAVE == 1 ? (QUANT ? 32 : VEC) : K % P_CHUNK == 0 ? P_CHUNK : K % 4 == 0 ? 4 : K % 2 == 0 ? 2 : 1;
/** Elements between the chunks of a lane. */
constexpr int STEP = WAVE * CHUNK;
/** Chunks of a row that are in flight: of a lone lane whole blocks, whose scales are then read once. */
constexpr int FLIGHT = WAVE == 1 && weight_t::block_elems > CHUNK * P_DEPTH ? weight_t::block_elems / CHUNK : P_DEPTH;

/** A running sum: one number a lane, or a SIMD register where a wave is one lane. */
typedef vec<float, WAVE == 1 ? VEC : 1> partial_t;

/** sum += a · b; chunks longer than the sum are folded into it. */
template <int M, int C> DEVICE void accumulate(vec<float, M>& sum, const vec<float, C>& a, const vec<float, C>& b) {
  if constexpr (M == C) sum = fma(a, b, sum);
  else if constexpr (M == 1) {
    UNROLL for (int i = 0; i < C; i++) sum.set(0, fma_f32(a[i], b[i], sum[0]));
  } else {
    accumulate(sum, a.lo, b.lo);
    accumulate(sum, a.hi, b.hi);
  }
}

/** ROWS columns × TOKENS tokens on their way through K. */
template <int ROWS, int TOKENS> struct dot_products {
  static constexpr int WEIGHTS = ROWS * PARTS;
  const u8* w[WEIGHTS];
  const x_t* x[TOKENS];
  partial_t sum[WEIGHTS][TOKENS];

  /** Columns n, n + apart, …; columns and tokens beyond the last repeat it. */
  DEVICE dot_products(const matmul_call& call, int n, int apart, int token) {
    UNROLL for (int r = 0; r < ROWS; r++) {
      UNROLL for (int p = 0; p < PARTS; p++) w[r * PARTS + p] = weight_row(call, min_int(n + r * apart, N - 1) + p * N);
    }
    UNROLL for (int t = 0; t < TOKENS; t++) x[t] = x_row(call, min_int(token + t, call.tokens - 1));
    UNROLL for (int r = 0; r < WEIGHTS; r++) {
      UNROLL for (int t = 0; t < TOKENS; t++) sum[r][t] = splat<WAVE == 1 ? VEC : 1>(0.f);
    }
  }

  /** Adds the products of D chunks of every row, from element k. A lone lane's k starts a block: its offsets are known. */
  template <int D> DEVICE void add(int k) {
    const size_t start = WAVE == 1 ? weight_t::row_bytes(k) : 0;
    const int at = WAVE == 1 ? 0 : k;
    UNROLL for (int d = 0; d < D; d++) {
      vec<float, CHUNK> weights[WEIGHTS];
      UNROLL for (int r = 0; r < WEIGHTS; r++)
        weights[r] = weight_t::template load_nt<CHUNK>(w[r] + start, at + d * STEP);
      UNROLL for (int t = 0; t < TOKENS; t++) {
        const vec<float, CHUNK> chunk = load<CHUNK>(x[t] + k + d * STEP);
        UNROLL for (int r = 0; r < WEIGHTS; r++) accumulate(sum[r][t], weights[r], chunk);
      }
    }
  }

  /** Adds the products of the last n < CHUNK elements; only a lone lane has such a rest. */
  DEVICE void add_tail(int k, int n) {
    UNROLL for (int t = 0; t < TOKENS; t++) {
      const vec<float, CHUNK> chunk = load_tail<CHUNK>(x[t] + k, n);
      UNROLL for (int r = 0; r < WEIGHTS; r++) accumulate(sum[r][t], weight_tail<CHUNK>(w[r], k, n), chunk);
    }
  }
};

/** Writes y for tokens token … token+TOKENS-1 and ROWS columns n, n + apart, …, as far as they are there. */
template <int ROWS, int TOKENS> DEVICE void dot_columns(const matmul_call& call, int n, int apart, int token) {
  dot_products<ROWS, TOKENS> dots(call, n, apart, token);
  int k = lane_id() * CHUNK;
  for (; k + (FLIGHT - 1) * STEP + CHUNK <= K; k += FLIGHT * STEP) dots.template add<FLIGHT>(k);
  for (; k + CHUNK <= K; k += STEP) dots.template add<1>(k);
  if constexpr (K % CHUNK != 0) dots.add_tail(k, K - k);

  UNROLL for (int r = 0; r < ROWS; r++) {
    UNROLL for (int t = 0; t < TOKENS; t++) {
      float sum[PARTS];
      UNROLL for (int p = 0; p < PARTS; p++) sum[p] = wave_reduce(hsum(dots.sum[r * PARTS + p][t]), Add{});
      if (lane_id() == 0 && n + r * apart < N && token + t < call.tokens)
        finish<1>(call, token + t, n + r * apart, splat<1>(sum[0]), splat<1>(sum[PARTS - 1]));
    }
  }
}
