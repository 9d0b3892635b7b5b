// share.h: what kernels of few tokens have in common: a block's share of the columns, sums by segment in LDS that become y,
// and the norm of x, whose factor is the same for a whole row of x and therefore multiplies finished sums.
#pragma once
#ifndef P_NORM
#define P_NORM 0  // 1: x is normed first
#endif
#ifndef P_NORM_ELEM
#define P_NORM_ELEM f32_t
#endif
#ifndef P_EPS
#define P_EPS 1e-5f  // added to the mean square
#endif
#ifndef P_AHEAD
#define P_AHEAD 65536  // bytes of weights that a block prefetches into L2 ahead of its work
#endif
#include "matmul/operands.h"

typedef P_NORM_ELEM norm_t;
constexpr bool NORMED = P_NORM != 0;
constexpr float EPS = float(P_EPS);
constexpr size_t ROW_BYTES = weight_t::row_bytes(K);

/** A share of the columns, by default the one of this block: shares differ by one unit at most, of which N is a multiple. */
struct share {
  int first, count;
  DEVICE share() : share(block_id(), grid_size()) {}
  DEVICE share(int index, int shares, int unit = 1) {
    const u32 b = u32(index), units = u32(N / unit), each = units / u32(shares), rest = units % u32(shares);
    first = int(b * each + min_int(b, rest)) * unit, count = int(each + (b < rest)) * unit;
  }
};

/** Floats from one sum of TERMS to the next: they begin in different LDS banks. */
CONSTANT int stride_of(int terms) { return terms | 1; }

template <int TERMS> DEVICE float sum_of(const float* from) {
  float sum = from[0];
  UNROLL for (int s = 1; s < TERMS; s++) sum += from[s];
  return sum;
}

/**
 * Writes y for `columns` columns from n. At `sums` each column has TERMS partial sums for each of its rows of w and each
 * token; at `squares` each token has SQUARE_TERMS partial sums of squares of x.
 */
template <int TOKENS, int TERMS, int SQUARE_TERMS>
DEVICE void write_columns(const matmul_call& call, int n, int columns, const float* sums, const float* squares) {
  constexpr int STRIDE = stride_of(TERMS);
  KEEP_LOOP for (int i = thread_id(); i < columns * TOKENS; i += BLOCK) {
    const int t = i % TOKENS, column = i / TOKENS;
    if (t >= call.tokens) continue;
    const float* const from = sums + (column * PARTS * TOKENS + t) * STRIDE;
    float sum = sum_of<TERMS>(from), up = sum_of<TERMS>(from + (PARTS - 1) * TOKENS * STRIDE);
    if constexpr (NORMED) {
      const float mean = sum_of<SQUARE_TERMS>(squares + t * stride_of(SQUARE_TERMS)) * (1.f / K);
      const float factor = rsqrt_f32(mean + EPS);
      sum *= factor, up *= factor;
    }
    finish<1>(call, t, n + column, splat<1>(sum), splat<1>(up));
  }
}

/** Prefetches into L2 what this block will read first of w, P_AHEAD bytes at most, and does not wait. */
DEVICE void prefetch_first_weights(const u8* w) {
  constexpr int PIECE = 2048;
  const share own;
  const size_t all = size_t(own.count) * ROW_BYTES;
  const int bytes = int(all < P_AHEAD / PARTS ? all : P_AHEAD / PARTS) - 15;  // what is left after rounding up
  UNROLL for (int p = 0; p < PARTS; p++) {
    const u8* const from = w + ((size_t(own.first + p * N) * ROW_BYTES + 15) & ~size_t(15));
    for (int at = thread_id() * PIECE; at < bytes; at += BLOCK * PIECE)
      prefetch_l2(from + at, min_int(PIECE, bytes - at) & ~15);
  }
}
